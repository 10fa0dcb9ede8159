//! A text as an expression over samples: what parses is printed, and parses to the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardpack_fuzz::within;
use shardpack_pack::{Expression, LONGEST_EXPRESSION};

fuzz_target!(|text: &str| {
    // A pattern may be worth 10 MiB of states, its own limit, and is built in as much again.
    let Ok(expression) = within(64 << 20, || text.parse::<Expression>()) else { return };
    let printed = expression.to_string();
    if printed.len() > LONGEST_EXPRESSION {
        return; // signs stand between spaces, so it grows
    }
    assert_eq!(printed.parse::<Expression>().expect("an expression of our own"), expression);
});
