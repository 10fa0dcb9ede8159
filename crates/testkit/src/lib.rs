//! Corpora, faults and conformance suites for the tests.

pub mod store_suite;
