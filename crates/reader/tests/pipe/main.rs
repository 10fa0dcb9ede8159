//! Streams that cannot be sought: read by way of real FIFOs, and of memory where every cut and
//! every order is tried.

mod coverage;
mod damage;
mod fifo;
mod foreign;
mod mixing;
mod resume;
mod same;
mod sharded;
mod support;
