//! Whether files are packed first.

use super::{guide, reasoned, truth};
use crate::facts::MOST;
use crate::rule::Next::{Ask, Take};
use crate::{Branch, Fact, Rule, Test};

/// Whether files are packed before training. Shards that are far too short are packed again.
pub static SERIALISE: Branch<bool> = Branch {
    rule: Rule {
        id: "small-files",
        asks: "Do most bytes lie in files below 50 MB?",
        fact: Fact::SmallBytes,
        test: Test::AtLeast,
        threshold: MOST,
        source: guide(
            "Developer Guide, \"Serializing many small files\": less than 50 MB a file; most is ours",
        ),
    },
    yes: Ask(&CAN),
    no: Ask(&TIME),
    unknown: false,
};

// A mean length would call a thousand tiny files beside a hundred shards a set of small files, and
// a share of the bytes alone would not see a hundred thousand of them.
static TIME: Branch<bool> = Branch {
    rule: Rule {
        id: "small-time",
        asks: "Is most of the reading the opening of files below 50 MB?",
        fact: Fact::SmallTime,
        test: Test::AtLeast,
        threshold: MOST,
        source: reasoned("48 ms a file in AWS's benchmark of FastFile, beside 90 MB/s a stream"),
    },
    yes: Ask(&CAN),
    no: Take(false),
    unknown: false,
};

static CAN: Branch<bool> = Branch {
    rule: truth(
        "can-serialise",
        "May the files be packed?",
        Fact::CanSerialise,
        reasoned("a reader of loose files cannot read shards"),
    ),
    yes: Ask(&GAIN),
    no: Take(false),
    unknown: false,
};

static GAIN: Branch<bool> = Branch {
    rule: Rule {
        id: "packing-gain",
        asks: "Would packing leave far fewer files?",
        fact: Fact::PackingGain,
        test: Test::AtLeast,
        threshold: 2.0,
        source: reasoned("fewer than half as many files are worth one pass over the data"),
    },
    yes: Take(true),
    no: Take(false),
    unknown: false,
};
