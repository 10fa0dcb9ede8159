//! How many shards, and how long.

use serde::Serialize;

use crate::{Data, Job};

/// A set of shards, all of about one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shards {
    /// How many: a multiple of hosts times workers where they are packed for this job.
    pub count: u64,
    /// Bytes of each, on average.
    pub bytes: u64,
}

impl Shards {
    /// As files or shards are now.
    pub(crate) fn now(data: &Data) -> Self {
        Self { count: data.files(), bytes: data.bytes() / data.files().max(1) }
    }

    /// As they would be packed: no longer than the target, and each reader gets as many as the
    /// other. Containers add some bytes a file (512 to 1,536 in a tar); they are left out here, as
    /// the packer's dry run tells the exact lengths.
    pub(crate) fn packed(data: &Data, job: &Job) -> Self {
        let readers = job.readers().max(1);
        let count = data.bytes().div_ceil(job.target.max(1)).max(1);
        let count = count.div_ceil(readers).saturating_mul(readers);
        Self { count, bytes: data.bytes() / count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Home;
    use proptest::prelude::*;

    #[test]
    fn counts_are_multiples_of_readers() {
        for (bytes, hosts, workers, count) in [
            (1, 1, 1, 1),
            (150_000_000, 1, 1, 1),
            (150_000_001, 1, 1, 2),
            (150_000_000, 2, 4, 8),
            (54_000_000_000, 1, 1, 360),
            (54_000_000_000, 7, 8, 392),
        ] {
            let data = Data::new(Home::S3, vec![bytes]);
            let job = Job { hosts, workers, ..Job::default() };
            assert_eq!(Shards::packed(&data, &job).count, count, "{bytes} {hosts} {workers}");
        }
    }

    proptest! {
        #[test]
        fn no_shard_is_above_the_target(
            lens in prop::collection::vec(0u64..1 << 40, 1..50),
            hosts in 1u64..100,
            workers in 1u64..100,
            target in 1u64..1 << 40,
        ) {
            let data = Data::new(Home::S3, lens);
            let shards = Shards::packed(&data, &Job { hosts, workers, target, ..Job::default() });
            prop_assert!(shards.bytes <= target);
            prop_assert_eq!(shards.count % (hosts * workers), 0);
        }
    }
}
