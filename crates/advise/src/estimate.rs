//! What each way would cost: time, requests, disk, money.

use serde::Serialize;

use crate::facts::Facts;
use crate::{Data, Job, Prices, Way, rates};

/// What a way would cost. None where something that it depends on is not known.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The way.
    pub way: Way,
    /// Seconds until training code runs.
    pub start: f64,
    /// Seconds until the first bytes are there, from the start of the job.
    pub first_batch: f64,
    /// Seconds that one epoch takes at least, if the model takes bytes as fast as it is told to.
    pub epoch: Option<f64>,
    /// GET requests of all hosts and epochs, at least: one an object.
    pub gets: u64,
    /// LIST requests of all hosts.
    pub lists: u64,
    /// Bytes of disk on each host.
    pub disk: u64,
    /// Dollars for requests, and for reading from a file system that bills it.
    pub requests_cost: f64,
    /// Dollars for storage while the job runs, where it is there for the job only.
    pub storage_cost: Option<f64>,
    /// Dollars for instances that wait until training code runs.
    pub waiting_cost: Option<f64>,
    /// What the figures leave out.
    pub caveat: &'static str,
}

/// Hours in a month, as AWS bills storage.
const MONTH: f64 = 730.0;

/// The estimate of each way.
pub(crate) fn estimates(
    data: &Data,
    job: &Job,
    facts: &Facts<'_>,
    prices: &Prices,
) -> Vec<Estimate> {
    Way::ALL.into_iter().map(|way| estimate(way, data, job, facts, prices)).collect()
}

fn estimate(way: Way, data: &Data, job: &Job, facts: &Facts<'_>, prices: &Prices) -> Estimate {
    let hosts = job.hosts.max(1);
    let (all, files) = (data.bytes() as f64, facts.read().count);
    let start = match way {
        Way::File => facts.download(),
        Way::FastFile | Way::Pipe => facts.listing(),
        Way::Fsx | Way::Efs => rates::MOUNT_BASE,
    };
    let first = match way {
        Way::File => 0.0,
        Way::FastFile => rates::FASTFILE_LATENCY,
        Way::Pipe => rates::S3_LATENCY,
        Way::Fsx | Way::Efs => rates::MOUNT_LATENCY,
    };
    let epoch = job.consume.map(|rate| floor(way, data, job, facts).max(all / hosts as f64 / rate));
    let gets = match way {
        // What is not parted is downloaded by every host.
        Way::File => (files as f64 * hosts as f64 * facts.download_bytes() / all).round() as u64,
        Way::FastFile | Way::Pipe => files.saturating_mul(job.epochs),
        Way::Fsx => files, // on the first reading of each
        Way::Efs => 0,
    };
    let lists = match way {
        Way::Efs => 0,
        Way::Fsx => files.div_ceil(rates::LIST_PAGE),
        _ => files.div_ceil(rates::LIST_PAGE).saturating_mul(hosts),
    };
    let read_cost = match way {
        Way::Efs => all / 1e9 * job.epochs as f64 * prices.efs_read_gb,
        _ => 0.0,
    };
    let hours = job.hours.map(|hours| hours + start / 3600.0);
    let storage_cost = match way {
        Way::Fsx => {
            hours.map(|hours| lustre(data, job) as f64 / 1e9 * hours / MONTH * prices.fsx_gb_month)
        }
        _ => Some(0.0),
    };
    Estimate {
        way,
        start,
        first_batch: start + first,
        epoch,
        gets,
        lists,
        disk: if way == Way::File { facts.download_bytes() as u64 } else { 0 },
        requests_cost: (gets as f64 * prices.s3_get_1000 + lists as f64 * prices.s3_list_1000)
            / 1e3
            + read_cost,
        storage_cost,
        waiting_cost: prices.instance_hour.map(|price| price * hosts as f64 * start / 3600.0),
        caveat: caveat(way),
    }
}

/// Seconds of an epoch that the way itself needs, if the model took no time.
fn floor(way: Way, data: &Data, job: &Job, facts: &Facts<'_>) -> f64 {
    let hosts = job.hosts.max(1) as f64;
    let bytes = data.bytes() as f64 / hosts;
    let each = facts.read().count as f64 / job.readers().max(1) as f64;
    match way {
        Way::File => 0.0,
        Way::FastFile => each * rates::FASTFILE_LATENCY,
        Way::Pipe => 0.0,
        Way::Fsx => {
            let bandwidth =
                lustre(data, job) as f64 / rates::FSX_STEP as f64 * rates::FSX_STEP_BANDWIDTH;
            (bytes * hosts / bandwidth).max(each * rates::MOUNT_LATENCY)
        }
        Way::Efs => (bytes / rates::EFS_CLIENT).max(each * rates::MOUNT_LATENCY),
    }
}

/// Bytes of the smallest FSx for Lustre that holds the data, and feeds the model where its pace is
/// told.
fn lustre(data: &Data, job: &Job) -> u64 {
    let rate = job.consume.unwrap_or(0.0) * job.hosts as f64;
    let feeds = (rate / rates::FSX_STEP_BANDWIDTH).ceil() as u64; // saturates
    data.bytes().div_ceil(rates::FSX_STEP).max(feeds).max(1).saturating_mul(rates::FSX_STEP)
}

fn caveat(way: Way) -> &'static str {
    match way {
        Way::File => "long objects may be fetched in parts, which are GETs of their own",
        Way::FastFile => {
            "bytes a second of a mount are not published; objects are read in parts, which are GETs of their own"
        }
        Way::Pipe => "start-up is FastFile's; none is published for Pipe",
        Way::Fsx => {
            "files that are not there yet come from S3 when they are first read: warm them; the smallest size is reckoned that holds the data and feeds the model"
        }
        Way::Efs => "storage is not reckoned: the data is taken to be there; start-up is FSx's",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Home, advise};

    /// Seconds of downloading that the benchmark measured (see `rates`): the estimates rest on these
    /// figures, and single runs of it differ by 30 %.
    #[test]
    fn estimates_are_near_what_was_measured() {
        for (files, len, file, fastfile) in [
            (30_607, 39_000, 255.2, 18.8),
            (10, 110_000_000, 22.1, 15.9),
            (1_530_350, 35_300, 10_954.7, 169.4),
            (500, 108_000_000, 357.3, 17.1),
        ] {
            let data = Data::new(Home::S3, vec![len; files]);
            let job = Job { can_serialise: false, ..Job::default() };
            let answer = advise(&data, &job, &Prices::default()).expect("an answer");
            for (way, measured) in [(Way::File, file), (Way::FastFile, fastfile)] {
                let start = answer.estimates.iter().find(|e| e.way == way).expect("it").start;
                let ratio = start / measured;
                assert!((0.8..1.2).contains(&ratio), "{files} {way:?}: {start} for {measured}");
            }
        }
    }

    #[test]
    fn a_file_system_is_reckoned_as_large_as_the_model_is_fast() {
        let data = Data::new(Home::Fsx, vec![1_000_000_000]);
        for (consume, steps) in [(None, 1), (Some(240e6), 1), (Some(241e6), 2), (Some(2.4e9), 10)] {
            let job = Job { consume, ..Job::default() };
            assert_eq!(lustre(&data, &job), steps * rates::FSX_STEP, "{consume:?}");
        }
    }

    #[test]
    fn money_is_requests_storage_and_waiting() {
        let data = Data::new(Home::S3, vec![1_000_000; 2000]);
        let job = Job { can_serialise: false, hosts: 2, hours: Some(73.0), ..Job::default() };
        let prices = Prices { instance_hour: Some(36.0), ..Prices::default() };
        let answer = advise(&data, &job, &prices).expect("an answer");
        let of = |way| answer.estimates.iter().find(|e| e.way == way).expect("it").clone();
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-3 * want, "{got} {want}");
        // Half of 2000 objects for each of two hosts, and two listings of two pages.
        let file = of(Way::File);
        assert_eq!((file.gets, file.lists, file.disk), (2000, 4, 1_000_000_000));
        near(file.requests_cost, 2.0 * 0.0004 + 0.004 * 0.005);
        near(file.waiting_cost.expect("told"), 2.0 * 36.0 * file.start / 3600.0);
        // A tenth of a month of 1.2 TiB.
        near(of(Way::Fsx).storage_cost.expect("told"), 1319.4 * 0.14 / 10.0);
        near(of(Way::Efs).requests_cost, 2.0 * 0.03);
    }
}
