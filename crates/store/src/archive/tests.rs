//! Archives made here by the crates that read them, damaged by hand.
