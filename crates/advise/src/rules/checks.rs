//! Trouble that decides nothing, and that somebody should know of.

use super::{guide, reasoned};
use crate::{Check, Fact, Rule, Source, Test};

const S3_RATE: Source = Source {
    document: "S3 User Guide, \"Performance guidelines\": 5,500 GET requests a second a prefix",
    url: "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html",
};
const LUSTRE: Source = Source {
    document: "Developer Guide, data parallelism: 200 MB/s per TiB, from 1.2 TiB",
    url: "https://docs.aws.amazon.com/sagemaker/latest/dg/data-parallel-config.html",
};
const SHARDED: Source = Source {
    document: "API Reference, S3DataSource: no object is split",
    url: "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html",
};

const fn check(
    (id, asks): (&'static str, &'static str),
    (fact, test, threshold): (Fact, Test, f64),
    source: Source,
    says: &'static str,
) -> Check {
    Check { rule: Rule { id, asks, fact, test, threshold, source }, says }
}

/// What is looked at whatever the answer is.
pub static CHECKS: &[Check] = &[
    check(
        ("idle-hosts", "Are there fewer shards than hosts?"),
        (Fact::PerHost, Test::Below, 1.0),
        SHARDED,
        "with ShardedByS3Key some hosts get nothing; make more shards or take fewer hosts",
    ),
    check(
        ("idle-workers", "Are there fewer shards than workers?"),
        (Fact::PerReader, Test::Below, 1.0),
        reasoned("a shard is read by one worker at a time"),
        "some workers have nothing to read; pack with --shard-multiple HOSTS*WORKERS",
    ),
    check(
        ("uneven-hosts", "Do some hosts get more shards than others?"),
        (Fact::Spare, Test::Above, 0.0),
        SHARDED,
        "the count is no multiple of the hosts: the host with one more keeps the others waiting",
    ),
    check(
        ("skew", "Is one file far longer than the others?"),
        (Fact::Skew, Test::Above, 2.0),
        Source {
            document: "API Reference, TrainingInputMode: skewed sizes overload one host",
            url: "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AlgorithmSpecification.html",
        },
        "whoever gets the longest is done last; pack into shards of one length",
    ),
    check(
        ("small-beside-large", "Do small files lie beside larger ones that hold most bytes?"),
        (Fact::SmallBeside, Test::Above, 0.0),
        reasoned("a mean length tells nothing of two kinds of files; see lengths"),
        "what is no training data (manifests, indexes, labels) belongs in a channel of its own; the rest is opened one by one",
    ),
    check(
        ("listing", "Does listing take long?"),
        (Fact::Listing, Test::Above, 60.0),
        guide("Developer Guide, \"When to use fast file mode\": startup is lower with fewer files"),
        "FastFile lists every object before training starts; pack, or split the prefix",
    ),
    check(
        ("request-rate", "Are more objects opened than a prefix of S3 bears?"),
        (Fact::Requests, Test::Above, 5500.0),
        S3_RATE,
        "S3 answers 503 Slow Down until it has split the prefix, which takes minutes; pack",
    ),
    check(
        ("lustre-rate", "Does the model take more than the smallest FSx for Lustre gives?"),
        (Fact::ConsumeAll, Test::Above, crate::rates::FSX_STEP_BANDWIDTH),
        LUSTRE,
        "a mount of FSx for Lustre needs more capacity than its smallest 1.2 TiB",
    ),
    check(
        ("recordio-limit", "Is a file too long for one RecordIO record?"),
        (Fact::Longest, Test::AtLeast, 536_870_912.0),
        Source {
            document: "MXNet's RecordIO: 29 bits of length",
            url: "https://mxnet.apache.org/versions/1.9.1/api/architecture/note_data_loading",
        },
        "Pipe mode with RecordIO wrapping cannot carry it: records end below 512 MiB",
    ),
    check(
        ("fits-memory", "Does a host's part fit its memory?"),
        (Fact::MemoryUse, Test::AtMost, 0.8),
        reasoned(
            "a fifth is left for training; mounts promise no cache, downloads have the page cache",
        ),
        "after the first epoch a download is read from memory",
    ),
    check(
        ("many-epochs", "Is the set read more than once?"),
        (Fact::Epochs, Test::Above, 1.0),
        reasoned("FastFile and Pipe document no cache between epochs"),
        "FastFile and Pipe may fetch everything again in each epoch; the reader's cache keeps it on a disk",
    ),
];
