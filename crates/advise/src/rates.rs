//! How fast each way is: figures that AWS published or that its benchmark measured.
//!
//! The benchmark is `aws-samples/sagemaker-bencher` at 1820a01, whose figures stand behind AWS's
//! blog post "Choose the best data source for your Amazon SageMaker training job" (2022-02):
//! ResNet-50 on one ml.p3.2xlarge, us-east-1, means of three runs. Runs differ by up to 30 %, and
//! other instances have other links: take these for orders of magnitude.

/// File: seconds until the download starts. From 30,607 and 1,530,350 objects in the benchmark.
pub const FILE_BASE: f64 = 12.0;
/// File: bytes a second of the download. 54 GB in 110 MB shards took 357 s in the benchmark; the
/// developer guide's "about 5 minutes" for 50 GB is 167 MB/s.
pub const FILE_BANDWIDTH: f64 = 156e6;
/// File: objects a second of the download. 1,530,350 objects took 10,955 s in the benchmark.
pub const FILE_OBJECTS: f64 = 140.0;
/// FastFile: seconds until objects are listed. In the benchmark, 15.9 to 17.1 s with few objects.
pub const FASTFILE_BASE: f64 = 16.0;
/// FastFile: objects a second that are listed. 1,530,350 objects took 169 s in the benchmark.
pub const FASTFILE_OBJECTS: f64 = 10_000.0;
/// FastFile: seconds to open and read a small file, one reader. 166 images of 39 KB a second with
/// eight threads in the benchmark.
pub const FASTFILE_LATENCY: f64 = 0.048;
/// FSx for Lustre, EFS: seconds until it is mounted. 10.4 to 13.7 s in the benchmark, FSx.
pub const MOUNT_BASE: f64 = 12.0;
/// FSx for Lustre: bytes a second for each of its [`FSX_STEP`]s, scratch 2: 200 MB/s per TiB. The
/// developer guide, "data-parallel-config".
pub const FSX_STEP_BANDWIDTH: f64 = 240e6;
/// FSx for Lustre: bytes of capacity that it grows by: 1.2 TiB, as it is sold.
pub const FSX_STEP: u64 = 1_319_413_953_331;
/// FSx for Lustre, EFS: seconds until an answer: "sub-millisecond" and "250 µs to 1 ms" in their
/// user guides.
pub const MOUNT_LATENCY: f64 = 0.001;
/// EFS: bytes a second to one client: 500 MiB/s in bursting and provisioned mode (1,500 MiB/s in
/// elastic mode). The EFS user guide, "performance".
pub const EFS_CLIENT: f64 = 524_288_000.0;
/// S3: objects in an answer to ListObjectsV2. Its API reference.
pub const LIST_PAGE: u64 = 1000;
/// S3: bytes a second of one connection: 85 to 90 MB/s. "Performance design patterns for Amazon
/// S3", use of parallel requests.
pub const S3_STREAM: f64 = 90e6;
/// S3: seconds to the first byte: "100 to 200 ms" for small objects. "Performance guidelines for
/// Amazon S3". The lower end.
pub const S3_LATENCY: f64 = 0.1;
