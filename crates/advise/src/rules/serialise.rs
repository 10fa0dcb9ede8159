//! Whether files are packed first.

use super::{guide, reasoned, truth};
use crate::rule::Next::{Ask, Take};
use crate::{Branch, Fact, Rule, Test};

/// Whether files are packed before training. Shards that are far too short are packed again.
pub static SERIALISE: Branch<bool> = Branch {
    rule: Rule {
        id: "small-files",
        asks: "Are the files small?",
        fact: Fact::FileMean,
        test: Test::Below,
        threshold: 50e6,
        source: guide("Developer Guide, \"Serializing many small files\": less than 50 MB a file"),
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
