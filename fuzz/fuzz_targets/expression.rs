//! A text as an expression over samples: what parses is printed, and parses to the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_fuzz::within;

// By path: with the crate that it belongs to came the AWS SDK, instrumented.
#[allow(dead_code, unused_imports, reason = "only parsing and printing are of use here")]
#[path = "../../crates/pack/src/reshard/expression/mod.rs"]
mod expression;

use expression::{Expression, LONGEST_EXPRESSION};

fuzz_target!(|text: &str| {
    // A pattern may be worth 10 MiB of states, its own limit, and is built in as much again.
    let Ok(expression) = within(64 << 20, || text.parse::<Expression>()) else { return };
    let printed = expression.to_string();
    if printed.len() > LONGEST_EXPRESSION {
        return; // signs stand between spaces, so it grows
    }
    assert_eq!(printed.parse::<Expression>().expect("an expression of our own"), expression);
});
