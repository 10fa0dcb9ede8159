//! Numbers that rules look at.

use serde::Serialize;

use crate::{Access, Data, Home, Job, Shards, Way, rates};

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// 1 is yes, 0 is no.
    Truth,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    #[serde(rename = "bytes/s")]
    Rate,
    /// Seconds.
    Seconds,
    /// Part of a whole: 0.1 is 10 %.
    Share,
    /// Things.
    Count,
    /// Requests a second.
    #[serde(rename = "requests/s")]
    Requests,
    /// Times as much.
    Times,
}

impl Unit {
    /// For people, to three digits.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Truth => if value >= 1.0 { "yes" } else { "no" }.into(),
            Self::Bytes => scaled(value, &["bytes", "kB", "MB", "GB", "TB", "PB"]),
            Self::Rate => format!("{}/s", Self::Bytes.show(value)),
            Self::Seconds if value >= 7200.0 => format!("{} h", digits(value / 3600.0)),
            Self::Seconds if value >= 120.0 => format!("{} min", digits(value / 60.0)),
            Self::Seconds if value > 0.0 && value < 1.0 => {
                format!("{} ms", digits(1000.0 * value))
            }
            Self::Seconds => format!("{} s", digits(value)),
            Self::Share => format!("{} %", digits(100.0 * value)),
            Self::Count => grouped(value),
            Self::Requests => format!("{}/s", grouped(value)),
            Self::Times => format!("{} times", digits(value)),
        }
    }
}

fn scaled(mut value: f64, units: &[&str]) -> String {
    for (i, unit) in units.iter().enumerate() {
        if value < 999.5 || i + 1 == units.len() {
            let number = if i == 0 { format!("{value:.0}") } else { digits(value) };
            return format!("{number} {unit}");
        }
        value /= 1000.0;
    }
    String::new()
}

/// Three digits, without zeros at the end.
fn digits(value: f64) -> String {
    let text = match value {
        100.0.. => return grouped(value),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

macro_rules! facts {
    ($($name:ident $unit:ident $text:literal,)+) => {
        /// A number that rules look at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fact { $(#[doc = $text] $name,)+ }

        impl Fact {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What it is, for people.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What it counts.
            pub fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)+ }
            }
        }
    };
}

facts! {
    OnEfs Truth "data on EFS",
    OnFsx Truth "data on FSx for Lustre",
    Augmented Truth "augmented manifest",
    CanSerialise Truth "files may be packed",
    Vpc Truth "VPC allowed",
    Random Truth "random access",
    SmallBytes Share "share of the bytes that lies in small files",
    SmallTime Share "share of the reading that is opening small files",
    SmallBeside Count "small files beside larger ones that hold most bytes",
    PackingGain Times "files as they are for each shard",
    Bytes Bytes "bytes of the set",
    ReadSmallBytes Share "share of the bytes that lies in small files, of what is read",
    ReadSmallTime Share "share of the reading that is opening small files, of what is read",
    Files Count "files or shards that are read",
    DiskUse Share "share of the disk that a download fills",
    Download Seconds "download before training",
    DownloadShare Share "download's share of download and training",
    Consume Rate "bytes a second that the model takes on a host",
    ConsumeAll Rate "bytes a second that the model takes on all hosts",
    Hosts Count "hosts",
    OnFastFile Truth "FastFile chosen",
    OnS3 Truth "S3 chosen",
    Spare Count "shards above the last equal round of hosts",
    PerHost Times "shards for each host",
    PerReader Times "shards for each worker",
    Listing Seconds "listing before training in FastFile mode",
    Requests Requests "objects a second that are opened",
    Longest Bytes "the longest file or shard",
    Skew Times "the longest over the mean",
    MemoryUse Share "share of a host's memory that its part fills",
    Epochs Count "epochs",
}

/// Bytes below which a file is small: the guide's figure for files that are to be serialised, and
/// for those that FastFile is not for.
pub const SMALL: u64 = 50_000_000;
/// Share from which on something is most of a whole.
pub(crate) const MOST: f64 = 0.5;

/// The values of all facts.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    data: &'a Data,
    job: &'a Job,
    /// As files would be packed.
    packed: Shards,
    /// As the job reads.
    read: Shards,
    longest: u64,
    /// Small files as they are, and as the job reads.
    found: Small,
    small: Small,
    way: Option<Way>,
}

/// How much of a set lies in small files, and what they cost.
#[derive(Clone, Copy, Debug)]
struct Small {
    files: f64,
    bytes: f64,
    all_files: f64,
    all_bytes: f64,
}

impl Small {
    fn of(data: &Data) -> Self {
        let small = data.below(SMALL);
        Self {
            files: small.files as f64,
            bytes: small.bytes as f64,
            all_files: data.files() as f64,
            all_bytes: data.bytes() as f64,
        }
    }

    /// Of shards that are all of one length.
    fn packed(shards: Shards, data: &Data) -> Self {
        let (files, bytes) = (shards.count as f64, data.bytes() as f64);
        let share = if shards.bytes < SMALL { 1.0 } else { 0.0 };
        Self { files: share * files, bytes: share * bytes, all_files: files, all_bytes: bytes }
    }

    fn bytes_share(&self) -> f64 {
        self.bytes / self.all_bytes.max(1.0)
    }

    /// Of one reader of a FastFile mount, which opens one file after another: the way in which
    /// opening costs most, and the one that was measured.
    fn time_share(&self) -> f64 {
        let opening = |files: f64| files * rates::FASTFILE_LATENCY;
        let all = opening(self.all_files) + self.all_bytes / rates::S3_STREAM;
        opening(self.files) / all.max(f64::MIN_POSITIVE)
    }
}

impl<'a> Facts<'a> {
    /// Of files as they are.
    pub(crate) fn new(data: &'a Data, job: &'a Job) -> Self {
        let (packed, read) = (Shards::packed(data, job), Shards::now(data));
        let small = Small::of(data);
        Self { data, job, packed, read, longest: data.longest(), found: small, small, way: None }
    }

    /// Of what is read, once that is decided.
    pub(crate) fn serialised(self) -> Self {
        let longest = self.packed.bytes;
        let small = Small::packed(self.packed, self.data);
        Self { read: self.packed, longest, small, ..self }
    }

    /// With the way that is decided.
    pub(crate) fn on(self, way: Way) -> Self {
        Self { way: Some(way), ..self }
    }

    pub(crate) fn read(&self) -> Shards {
        self.read
    }

    /// Bytes that one host downloads in File mode: its part where parts are equal, else all.
    pub(crate) fn download_bytes(&self) -> f64 {
        let hosts = self.job.hosts.max(1);
        let parted = hosts > 1
            && self.job.access != Some(Access::Random)
            && self.read.count.is_multiple_of(hosts);
        self.data.bytes() as f64 / if parted { hosts as f64 } else { 1.0 }
    }

    /// Seconds before training in File mode.
    pub(crate) fn download(&self) -> f64 {
        let bytes = self.download_bytes();
        let files = self.read.count as f64 * bytes / self.data.bytes().max(1) as f64;
        rates::FILE_BASE + (bytes / rates::FILE_BANDWIDTH).max(files / rates::FILE_OBJECTS)
    }

    /// Seconds before training in FastFile mode.
    pub(crate) fn listing(&self) -> f64 {
        rates::FASTFILE_BASE + self.read.count as f64 / rates::FASTFILE_OBJECTS
    }

    /// The value, where it is known.
    pub(crate) fn value(&self, fact: Fact) -> Option<f64> {
        let (data, job, read) = (self.data, self.job, self.read);
        let truth = |truth: bool| Some(f64::from(u8::from(truth)));
        let count = read.count as f64;
        match fact {
            Fact::OnEfs => truth(data.home == Home::Efs),
            Fact::OnFsx => truth(data.home == Home::Fsx),
            Fact::Augmented => truth(data.augmented),
            Fact::CanSerialise => truth(job.can_serialise),
            Fact::Vpc => job.vpc.and_then(truth),
            Fact::Random => job.access.and_then(|access| truth(access == Access::Random)),
            Fact::SmallBytes => Some(self.found.bytes_share()),
            Fact::SmallTime => Some(self.found.time_share()),
            Fact::SmallBeside => Some(match self.small.bytes_share() < MOST {
                true => self.small.files,
                false => 0.0,
            }),
            Fact::PackingGain => Some(data.files() as f64 / self.packed.count as f64),
            Fact::Bytes => Some(data.bytes() as f64),
            Fact::ReadSmallBytes => Some(self.small.bytes_share()),
            Fact::ReadSmallTime => Some(self.small.time_share()),
            Fact::Files => Some(count),
            Fact::DiskUse => job.disk.map(|disk| self.download_bytes() / (disk as f64).max(1.0)),
            Fact::Download => Some(self.download()),
            Fact::DownloadShare => job.hours.map(|hours| {
                let download = self.download();
                download / (download + 3600.0 * hours)
            }),
            Fact::Consume => job.consume,
            Fact::ConsumeAll => job.consume.map(|rate| rate * job.hosts as f64),
            Fact::Hosts => Some(job.hosts as f64),
            Fact::OnFastFile => self.way.and_then(|way| truth(way == Way::FastFile)),
            Fact::OnS3 => self.way.and_then(|way| truth(way.storage() == "S3")),
            Fact::Spare => Some((read.count % job.hosts.max(1)) as f64),
            Fact::PerHost => Some(count / job.hosts.max(1) as f64),
            Fact::PerReader => Some(count / job.readers().max(1) as f64),
            Fact::Listing => Some(self.listing()),
            Fact::Requests => {
                job.consume.map(|rate| rate * job.hosts as f64 / (read.bytes as f64).max(1.0))
            }
            Fact::Longest => Some(self.longest as f64),
            Fact::Skew => Some(self.longest as f64 / (read.bytes as f64).max(1.0)),
            Fact::MemoryUse => {
                let part = data.bytes() as f64 / job.hosts.max(1) as f64;
                job.memory.map(|memory| part / (memory as f64).max(1.0))
            }
            Fact::Epochs => Some(job.epochs as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_to_three_digits() {
        for (unit, value, want) in [
            (Unit::Truth, 1.0, "yes"),
            (Unit::Bytes, 0.0, "0 bytes"),
            (Unit::Bytes, 999.0, "999 bytes"),
            (Unit::Bytes, 39_000.0, "39 kB"),
            (Unit::Bytes, 999_999.0, "1 MB"),
            (Unit::Bytes, 150e6, "150 MB"),
            (Unit::Bytes, 5e18, "5,000 PB"),
            (Unit::Rate, 524_288_000.0, "524 MB/s"),
            (Unit::Seconds, 0.048, "48 ms"),
            (Unit::Seconds, 12.0, "12 s"),
            (Unit::Seconds, 357.0, "5.95 min"),
            (Unit::Seconds, 10_955.0, "3.04 h"),
            (Unit::Share, 0.1, "10 %"),
            (Unit::Count, 1_530_350.0, "1,530,350"),
            (Unit::Times, 2.5, "2.5 times"),
        ] {
            assert_eq!(unit.show(value), want);
        }
    }
}
