//! Plays the reading of one epoch through a model of a way.
//!
//! A discrete-event simulation, without chance: the same set and model give the same run. Object `i`
//! goes to host `i % hosts`, there to the worker whose turn it is; each worker reads its objects from
//! front to back in requests of a fixed length, several under way at a time and never more than a
//! window ahead of the consumer. A request waits its latency; then it shares the host's bandwidth
//! evenly with the others under way, each at most as fast as one stream. The consumer takes the
//! workers in turn, as a data loader does, at its own pace.
//!
//! Left out: errors and repetition, caches, the network's warming up, and what other jobs do to the
//! store. Hosts do not disturb each other but through [`Model::total`], of which each has its part.

mod host;

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::error::check;
use crate::{Error, Result, Way, rates};
use host::Host;

/// A way, in numbers. Rates are bytes a second, and may be infinite.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Model {
    /// The way. File downloads before it reads; Pipe has one reader a host.
    pub way: Way,
    /// Hosts. Default 1.
    pub hosts: u64,
    /// Workers of each host. Default 1.
    pub workers: u64,
    /// File: a host downloads its objects only (ShardedByS3Key). Default false: all of them.
    pub sharded: bool,
    /// Seconds until the first object can be asked for.
    pub start: f64,
    /// Seconds for each object of the set before that: listing.
    pub listing: f64,
    /// Seconds from a request to its first byte.
    pub latency: f64,
    /// Of one stream.
    pub stream: f64,
    /// Of one host.
    pub bandwidth: f64,
    /// Of the store, all hosts together.
    pub total: f64,
    /// Bytes of a request. Default 8 MiB.
    pub request: u64,
    /// Requests under way at a time, of each worker.
    pub in_flight: u64,
    /// Bytes that a worker may be ahead of the consumer; at least its requests under way. Default
    /// 64 MiB.
    pub ahead: u64,
    /// File: of the disk that the download is read from.
    pub disk: f64,
    /// That the model takes, on each host.
    pub consume: f64,
}

/// Most hosts: each has a row in the result.
const HOSTS: u64 = 100_000;
/// Most requests of a simulation: some 10 s of one core.
const REQUESTS: u64 = 20_000_000;

impl Model {
    /// The way's published figures; what is not published does not hold it back.
    ///
    /// ```
    /// use shardpack_advise::{Model, Way, simulate};
    ///
    /// let run = simulate(&Model::of(Way::FastFile), &[150_000_000; 10])?;
    /// assert_eq!(run.bytes, 1_500_000_000);
    /// assert!(run.first_batch > 16.0); // seconds that the listing takes
    /// # Ok::<(), shardpack_advise::Error>(())
    /// ```
    pub fn of(way: Way) -> Self {
        let far = f64::INFINITY;
        let model = Self {
            way,
            hosts: 1,
            workers: 1,
            sharded: false,
            start: rates::MOUNT_BASE,
            listing: 0.0,
            latency: rates::MOUNT_LATENCY,
            stream: far,
            bandwidth: far,
            total: far,
            request: 8 << 20,
            in_flight: 4,
            ahead: 64 << 20,
            disk: far,
            consume: far,
        };
        match way {
            Way::File => Self {
                start: rates::FILE_BASE,
                // As many connections as carry what the download was measured at.
                in_flight: (rates::FILE_OBJECTS * rates::S3_LATENCY) as u64,
                latency: rates::S3_LATENCY,
                stream: rates::S3_STREAM,
                bandwidth: rates::FILE_BANDWIDTH,
                ..model
            },
            Way::FastFile => Self {
                start: rates::FASTFILE_BASE,
                listing: 1.0 / rates::FASTFILE_OBJECTS,
                latency: rates::FASTFILE_LATENCY,
                stream: rates::S3_STREAM,
                ..model
            },
            Way::Pipe => Self {
                start: rates::FASTFILE_BASE,
                listing: 1.0 / rates::FASTFILE_OBJECTS,
                latency: rates::S3_LATENCY,
                stream: rates::S3_STREAM,
                ..model
            },
            Way::Fsx => Self { total: rates::FSX_STEP_BANDWIDTH, ..model },
            Way::Efs => Self { bandwidth: rates::EFS_CLIENT, ..model },
        }
    }

    fn check(&self) -> Result<()> {
        for (what, count) in [
            ("hosts", self.hosts),
            ("workers", self.workers),
            ("request", self.request),
            ("requests in flight", self.in_flight),
        ] {
            check(what, count as f64, false)?;
        }
        if self.hosts > HOSTS {
            let (value, wants) = (self.hosts as f64, "at most 100000");
            return Err(Error::Number { what: "hosts", value, wants });
        }
        for (what, seconds) in
            [("start", self.start), ("listing", self.listing), ("latency", self.latency)]
        {
            check(what, seconds, true)?;
        }
        for (what, rate) in [
            ("bandwidth of a stream", self.stream),
            ("bandwidth of a host", self.bandwidth),
            ("bandwidth of the store", self.total),
            ("bandwidth of the disk", self.disk),
            ("bytes a second that the model takes", self.consume),
        ] {
            if rate != f64::INFINITY {
                check(what, rate, false)?;
            }
        }
        Ok(())
    }

    /// Requests for the whole set, once; an empty object is opened as well.
    fn requests(&self, lens: &[u64]) -> u64 {
        let requests = |len: &u64| len.div_ceil(self.request).max(1);
        lens.iter().fold(0, |sum, len| sum.saturating_add(requests(len)))
    }
}

/// What came of one host.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HostRun {
    /// Bytes that were consumed.
    pub bytes: u64,
    /// Bytes that came from the store.
    pub fetched: u64,
    /// Requests to the store.
    pub requests: u64,
    /// Seconds from the start of the job until training could start: a download is done.
    pub start: f64,
    /// Seconds from the start of the job until the consumer had its first bytes.
    pub first_batch: f64,
    /// Seconds from the start of the job until the consumer had taken its last bytes.
    pub end: f64,
    /// Share of the epoch that the consumer waited.
    pub starved: f64,
    /// Longest over shortest time until a worker was done; 1 where all end together.
    pub worker_skew: f64,
}

/// What came of it. Seconds are counted from the start of the job.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Run {
    /// Objects of the set.
    pub objects: u64,
    /// Bytes that all hosts consumed: those of the set.
    pub bytes: u64,
    /// Bytes that came from the store: more where each host downloads all.
    pub fetched: u64,
    /// Requests to the store.
    pub requests: u64,
    /// Seconds until training could start on all hosts.
    pub start: f64,
    /// Seconds until all hosts had their first bytes.
    pub first_batch: f64,
    /// Seconds of the epoch: from the start of training to the end of the last host.
    pub epoch: f64,
    /// Bytes a second over the epoch, all hosts together.
    pub throughput: f64,
    /// Longest over shortest epoch of a host that has any data.
    pub host_skew: f64,
    /// The largest skew between workers of a host.
    pub worker_skew: f64,
    /// Largest share of its epoch that a host's consumer waited.
    pub starved: f64,
    /// Hosts that get no object.
    pub idle_hosts: u64,
    /// Host by host.
    pub hosts: Vec<HostRun>,
}

/// Plays one epoch over objects of these lengths.
///
/// Fails with [`Error::Empty`] without a byte, with [`Error::Number`] for a model that cannot be,
/// and with [`Error::Requests`] above 20 million requests.
pub fn simulate(model: &Model, lens: &[u64]) -> Result<Run> {
    model.check()?;
    let bytes = lens.iter().fold(0u64, |sum, len| sum.saturating_add(*len));
    if bytes == 0 {
        return Err(Error::Empty);
    }
    let downloads = match (model.way, model.sharded) {
        (Way::File, false) => model.hosts.saturating_add(1),
        (Way::File, true) => 2,
        _ => 1,
    };
    let requests = model.requests(lens).saturating_mul(downloads).saturating_add(model.hosts);
    if requests > REQUESTS {
        return Err(Error::Requests { requests, limit: REQUESTS });
    }
    let hosts: Vec<HostRun> = (0..model.hosts).map(|host| play(model, lens, host)).collect();
    Ok(sum(lens.len() as u64, bytes, hosts))
}

fn play(model: &Model, lens: &[u64], host: u64) -> HostRun {
    let part: Vec<u64> = lens
        .iter()
        .skip(usize::try_from(host).unwrap_or(usize::MAX))
        .step_by(usize::try_from(model.hosts).unwrap_or(usize::MAX))
        .copied()
        .collect();
    let bandwidth = model.bandwidth.min(model.total / model.hosts as f64);
    let model = &Model { bandwidth, ..model.clone() };
    let start = model.start + model.listing * lens.len() as f64;
    if model.way != Way::File {
        let workers = if model.way == Way::Pipe { 1 } else { model.workers };
        return Host::new(&Model { workers, ..model.clone() }, &part).run(start);
    }
    let whole = if model.sharded { &part } else { lens };
    let unread = Model { consume: f64::INFINITY, ahead: u64::MAX, workers: 1, ..model.clone() };
    let download = Host::new(&unread, whole).run(start);
    let local =
        Model { latency: 0.0, stream: f64::INFINITY, bandwidth: model.disk, ..model.clone() };
    let HostRun { fetched, requests, end, .. } = download;
    HostRun { fetched, requests, ..Host::new(&local, &part).run(end) }
}

fn sum(objects: u64, bytes: u64, hosts: Vec<HostRun>) -> Run {
    let most = |of: fn(&HostRun) -> f64| hosts.iter().map(of).fold(0.0, f64::max);
    let busy = || hosts.iter().filter(|host| host.bytes > 0).map(|host| host.end - host.start);
    let (start, end) = (most(|host| host.start), most(|host| host.end));
    let epoch = end - start;
    Run {
        objects,
        bytes,
        fetched: hosts.iter().fold(0, |sum, host| sum.saturating_add(host.fetched)),
        requests: hosts.iter().map(|host| host.requests).sum(),
        start,
        first_batch: most(|host| host.first_batch),
        epoch,
        throughput: if epoch > 0.0 { bytes as f64 / epoch } else { f64::INFINITY },
        host_skew: skew(busy()),
        worker_skew: most(|host| host.worker_skew),
        starved: most(|host| host.starved),
        idle_hosts: hosts.iter().filter(|host| host.bytes == 0).count() as u64,
        hosts,
    }
}

/// The longest over the shortest; 1 where there is nothing to compare.
fn skew(times: impl Iterator<Item = f64>) -> f64 {
    let (least, most) = times
        .fold((f64::INFINITY, 0.0f64), |(least, most), time| (least.min(time), most.max(time)));
    if least > 0.0 && least.is_finite() { most / least } else { 1.0 }
}
