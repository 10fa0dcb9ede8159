//! What an audit found.

use serde::Serialize;

/// The outcome of an [`audit`](super::audit).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditReport {
    /// Samples of an epoch.
    pub samples: u64,
    /// How often each should be seen in an epoch.
    pub times: u64,
    /// Logs that were read.
    pub logs: u64,
    /// Logs whose last line was cut or damaged, and left out: of processes that were killed.
    pub torn: Vec<String>,
    /// Every start of the job, in order of time.
    pub starts: Vec<Start>,
    /// Each epoch, and each replica where ranks are replicated.
    pub epochs: Vec<EpochAudit>,
}

impl AuditReport {
    /// True when every sample of every epoch was seen as often as it should be, but for those that
    /// were damaged and those of an unfinished last epoch that were not reached.
    pub fn is_exact(&self) -> bool {
        self.epochs.iter().all(|epoch| epoch.missing == 0 && epoch.doubled == 0)
    }
}

/// One start of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Start {
    /// Epoch that it began in.
    pub epoch: u64,
    /// Position in the epoch that it began at.
    pub position: u64,
    /// Ranks.
    pub world: u64,
    /// Logs of its processes.
    pub logs: u64,
}

/// One epoch. Samples of it are `exact`, `missing`, `doubled`, `damaged`, `dropped` or `pending`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EpochAudit {
    /// Epoch, from 0.
    pub epoch: u64,
    /// Which of the ranks that get the same samples, from 0.
    pub replica: u64,
    /// Samples seen as often as they should be.
    pub exact: u64,
    /// Samples seen less often.
    pub missing: u64,
    /// Samples seen more often.
    pub doubled: u64,
    /// Samples that were damaged, so that another one was handed out in their place or none.
    pub damaged: u64,
    /// Samples that the plan leaves out, as ranks, batches or hosts do not divide the epoch.
    pub dropped: u64,
    /// Samples that an unfinished last epoch has not come to.
    pub pending: u64,
    /// Steps behind the last sample, which begin the epoch again.
    pub padding: u64,
    /// Steps that a later start from a checkpoint before them has undone.
    pub undone: u64,
    /// The first ten of `missing`, with the ranks that should have taken them.
    pub first_missing: Vec<Seen>,
    /// The first ten of `doubled`, with the ranks that took them.
    pub first_doubled: Vec<Seen>,
    /// The first ten of `damaged`, with the ranks that met them.
    pub first_damaged: Vec<Seen>,
}

/// A sample, and how often it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Seen {
    /// Its key.
    pub key: String,
    /// Its position in the epoch.
    pub position: u64,
    /// How often; 255 stands for more, too.
    pub times: u64,
    /// Who took it, or should have; none where a service divides shards among hosts, and none took it.
    pub ranks: Vec<String>,
}
