//! Whether every host gets all objects, or its part of them.

use shardpack_manifest::sagemaker::Distribution;

use super::{reasoned, truth};
use crate::rule::Next::{Ask, Take};
use crate::{Branch, Fact, Rule, Source, Test};

/// Who gets what.
pub static DISTRIBUTION: Branch<Distribution> = Branch {
    rule: Rule {
        id: "several-hosts",
        asks: "Are there several hosts?",
        fact: Fact::Hosts,
        test: Test::AtLeast,
        threshold: 2.0,
        source: reasoned("one host gets all there is"),
    },
    yes: Ask(&ON_S3),
    no: Take(Distribution::FullyReplicated),
    unknown: false,
};

static ON_S3: Branch<Distribution> = Branch {
    rule: truth(
        "objects",
        "Does the data come from S3?",
        Fact::OnS3,
        Source {
            document: "API Reference, S3DataSource: file systems are mounted whole",
            url: "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html",
        },
    ),
    yes: Ask(&STREAMED),
    no: Take(Distribution::FullyReplicated),
    unknown: false,
};

static STREAMED: Branch<Distribution> = Branch {
    rule: truth(
        "on-demand",
        "Does a host fetch only what it reads?",
        Fact::OnFastFile,
        reasoned(
            "FastFile fetches on demand, so all objects cost no more than a part, and epochs can be \
             shuffled over all hosts; ShardedByS3Key in FastFile mode is not documented",
        ),
    ),
    yes: Take(Distribution::FullyReplicated),
    no: Ask(&RANDOM),
    unknown: false,
};

static RANDOM: Branch<Distribution> = Branch {
    rule: truth(
        "all-at-random",
        "Does a host read anywhere in the set?",
        Fact::Random,
        reasoned("random access needs all of it on every host"),
    ),
    yes: Take(Distribution::FullyReplicated),
    no: Ask(&EVEN),
    unknown: false,
};

static EVEN: Branch<Distribution> = Branch {
    rule: Rule {
        id: "even",
        asks: "Do all hosts get as many shards?",
        fact: Fact::Spare,
        test: Test::AtMost,
        threshold: 0.0,
        source: Source {
            document: "API Reference, S3DataSource: about 1/n of the objects for each of n hosts, none split",
            url: "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html",
        },
    },
    yes: Take(Distribution::ShardedByS3Key),
    no: Take(Distribution::FullyReplicated),
    unknown: false,
};
