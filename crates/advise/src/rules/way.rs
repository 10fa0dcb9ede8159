//! Which way the data takes: AWS's flowchart, with what it leaves open decided and said.

use super::{guide, reasoned, truth};
use crate::facts::MOST;
use crate::rule::Next::{self, Ask, Take};
use crate::{Branch, Fact, Rule, Source, Test, Way, rates};

/// A set is small below this, in bytes: the lower of the guide's two figures.
const SMALL: f64 = 50e9;
/// It may be small below this: the upper one.
const MAYBE_SMALL: f64 = 100e9;
/// Share of a job that may go into the download. The guide leaves it to the length of training.
const OVERHEAD: f64 = 0.1;
/// Seconds that loose files may take to download whatever follows: the guide's own example of an
/// overhead is "about 5 minutes".
const WAIT: f64 = 300.0;

const FILE_MODE: Source = guide("Developer Guide, \"Use file mode for small datasets\"");
const FSX: Source = guide("Developer Guide, \"When to use Amazon FSx for Lustre\"");
const VPC: Source = Source {
    document: "API Reference, FileSystemDataSource: file systems are reached through a VPC",
    url: "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_FileSystemDataSource.html",
};

const fn small(id: &'static str, asks: &'static str, threshold: f64) -> Rule {
    Rule { id, asks, fact: Fact::Bytes, test: Test::Below, threshold, source: FILE_MODE }
}

const fn disk(id: &'static str) -> Rule {
    Rule {
        id,
        asks: "Does a host's download fit its disk?",
        fact: Fact::DiskUse,
        test: Test::AtMost,
        threshold: 1.0,
        source: Source {
            document: "API Reference, TrainingInputMode: the volume must hold the download",
            url: "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AlgorithmSpecification.html",
        },
    }
}

const fn share(id: &'static str) -> Rule {
    Rule {
        id,
        asks: "Is the download short beside training?",
        fact: Fact::DownloadShare,
        test: Test::AtMost,
        threshold: OVERHEAD,
        source: FILE_MODE,
    }
}

const fn vpc(id: &'static str) -> Rule {
    truth(id, "May the job run in a VPC?", Fact::Vpc, VPC)
}

const fn branch(rule: Rule, yes: Next<Way>, no: Next<Way>, unknown: bool) -> Branch<Way> {
    Branch { rule, yes, no, unknown }
}

/// Which way the data takes.
pub static WAY: Branch<Way> = branch(
    truth(
        "augmented",
        "Is it an augmented manifest that stays one?",
        Fact::Augmented,
        Source {
            document: "API Reference, S3DataSource: AugmentedManifestFile only with Pipe",
            url: "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html",
        },
    ),
    Ask(&AUGMENTED_PACKED),
    Ask(&ON_EFS),
    false,
);

static AUGMENTED_PACKED: Branch<Way> = branch(
    truth(
        "augmented-packed",
        "May it be packed into shards?",
        Fact::CanSerialise,
        reasoned("packed, it is a set of shards as any other"),
    ),
    Ask(&RANDOM),
    Take(Way::Pipe),
    false,
);

static ON_EFS: Branch<Way> = branch(
    truth(
        "on-efs",
        "Is the data on EFS?",
        Fact::OnEfs,
        guide("Developer Guide, \"When to use Amazon EFS\""),
    ),
    Ask(&EFS_VPC),
    Ask(&ON_FSX),
    false,
);

// Whoever has data on EFS or FSx reaches it through a VPC already.
static EFS_VPC: Branch<Way> = branch(vpc("efs-vpc"), Ask(&EFS_RATE), Ask(&RANDOM), true);

static EFS_RATE: Branch<Way> = branch(
    Rule {
        id: "efs-rate",
        asks: "Is one EFS client fast enough for a host?",
        fact: Fact::Consume,
        test: Test::AtMost,
        threshold: rates::EFS_CLIENT,
        source: Source {
            document: "EFS User Guide, \"Performance specifications\": 500 MiB/s a client, 1,500 MiB/s in elastic mode",
            url: "https://docs.aws.amazon.com/efs/latest/ug/performance.html",
        },
    },
    Take(Way::Efs),
    Ask(&RANDOM),
    true,
);

static ON_FSX: Branch<Way> = branch(
    truth("on-fsx", "Is the data on FSx for Lustre?", Fact::OnFsx, FSX),
    Ask(&ON_FSX_VPC),
    Ask(&RANDOM),
    false,
);

static ON_FSX_VPC: Branch<Way> = branch(vpc("on-fsx-vpc"), Take(Way::Fsx), Ask(&RANDOM), true);

static RANDOM: Branch<Way> = branch(
    truth("random", "Does training read at random?", Fact::Random, FSX),
    Ask(&RANDOM_SMALL),
    Ask(&LOOSE),
    false,
);

static RANDOM_SMALL: Branch<Way> = branch(
    small("random-small", "May the set be small enough to download?", MAYBE_SMALL),
    Ask(&RANDOM_DISK),
    Ask(&RANDOM_VPC),
    false,
);

static RANDOM_DISK: Branch<Way> =
    branch(disk("random-disk"), Take(Way::File), Ask(&RANDOM_VPC), true);

static RANDOM_VPC: Branch<Way> =
    branch(vpc("random-vpc"), Take(Way::Fsx), Take(Way::FastFile), false);

static LOOSE: Branch<Way> = branch(
    Rule {
        id: "loose",
        asks: "Do most bytes that training reads lie in files below 50 MB?",
        fact: Fact::ReadSmallBytes,
        test: Test::AtLeast,
        threshold: MOST,
        source: guide(
            "Developer Guide, \"When to use fast file mode\": files of more than 50 MB; most is ours",
        ),
    },
    Ask(&LOOSE_SMALL),
    Ask(&LOOSE_TIME),
    false,
);

static LOOSE_TIME: Branch<Way> = branch(
    Rule {
        id: "loose-time",
        asks: "Is most of training's reading the opening of files below 50 MB?",
        fact: Fact::ReadSmallTime,
        test: Test::AtLeast,
        threshold: MOST,
        source: reasoned("48 ms a file in AWS's benchmark of FastFile, beside 90 MB/s a stream"),
    },
    Ask(&LOOSE_SMALL),
    Ask(&SMALL_SET),
    false,
);

static LOOSE_SMALL: Branch<Way> = branch(
    small("loose-small", "May the set be small enough to download?", MAYBE_SMALL),
    Ask(&LOOSE_DISK),
    Ask(&LOOSE_VPC),
    false,
);

static LOOSE_DISK: Branch<Way> =
    branch(disk("loose-disk"), Ask(&LOOSE_WAIT), Ask(&LOOSE_VPC), true);

static LOOSE_WAIT: Branch<Way> = branch(
    Rule {
        id: "loose-wait",
        asks: "Is the download short?",
        fact: Fact::Download,
        test: Test::AtMost,
        threshold: WAIT,
        source: FILE_MODE,
    },
    Take(Way::File),
    Ask(&LOOSE_SHARE),
    false,
);

static LOOSE_SHARE: Branch<Way> =
    branch(share("loose-share"), Take(Way::File), Ask(&LOOSE_VPC), false);

static LOOSE_VPC: Branch<Way> =
    branch(vpc("loose-vpc"), Take(Way::Fsx), Take(Way::FastFile), false);

static SMALL_SET: Branch<Way> = branch(
    small("small", "Is the set small?", SMALL),
    Ask(&SMALL_DISK),
    Ask(&MAYBE_SMALL_SET),
    false,
);

static SMALL_DISK: Branch<Way> =
    branch(disk("small-disk"), Ask(&SMALL_SHARE), Take(Way::FastFile), true);

static SMALL_SHARE: Branch<Way> =
    branch(share("small-share"), Take(Way::File), Take(Way::FastFile), true);

static MAYBE_SMALL_SET: Branch<Way> = branch(
    small("maybe-small", "May the set be small enough to download?", MAYBE_SMALL),
    Ask(&MAYBE_DISK),
    Take(Way::FastFile),
    false,
);

// Between the guide's two figures, File is taken only where it is known to fit and to pay.
static MAYBE_DISK: Branch<Way> =
    branch(disk("maybe-small-disk"), Ask(&MAYBE_SHARE), Take(Way::FastFile), false);

static MAYBE_SHARE: Branch<Way> =
    branch(share("maybe-small-share"), Take(Way::File), Take(Way::FastFile), false);
