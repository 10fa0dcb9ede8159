//! One binary, so that a change links once.

mod advise;
mod append;
mod bad_input;
mod channels;
mod cli;
mod damage;
mod diff;
mod join;
mod manifests;
mod map;
mod mixing;
mod packing;
mod program;
mod quarantine;
mod reading;
mod reading_audit;
mod reading_bench;
mod reading_delete;
mod reading_modes;
mod reading_why;
mod reshard;
mod resume;
mod s3;
mod select;
mod tidy;
mod verify;
