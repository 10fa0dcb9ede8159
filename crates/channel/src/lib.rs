//! The contract between SageMaker and a training container.
//!
//! Which channels there are and how they arrive ([`InputDataConfig`]), which hosts there are and
//! which one this is ([`ResourceConfig`], [`Ranks`]), where things lie ([`Container`], [`fifo`]),
//! what files are called ([`layout`]), who gets which objects ([`Delivery`]), and which requests
//! SageMaker would take ([`JobRequest`], [`ChannelRequest`]).
//!
//! This crate is pure: bytes and values go in, values come out. It opens no file, reads no variable
//! but through the caller, and starts no thread.
//!
//! ```
//! use shardpack_channel::{Container, InputMode, Ranks};
//!
//! // A real one is `|name: &str| std::env::var_os(name)`.
//! let env = |name: &str| (name == "SAGEMAKER_BASE_DIR").then(|| "/home/me/job".into());
//! let container = Container::new(&env);
//!
//! // The caller reads the files; each may be missing, and then the environment is asked.
//! let file = br#"{"train": {"TrainingInputMode": "FastFile", "S3DistributionType": "ShardedByS3Key"}}"#;
//! let channels = container.input_data_config(Some(file))?.unwrap_or_default();
//! assert_eq!(channels.channel("train")?.mode, InputMode::FastFile);
//!
//! let file = br#"{"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]}"#;
//! let hosts = container.resource_config(Some(file))?;
//! let ranks = Ranks::find(&env, hosts.as_ref())?;
//! assert_eq!((ranks.rank, ranks.world), (1, 2));
//!
//! let first = &container.channel("train", None)?[0];
//! assert_eq!(first.to_string(), "/home/me/job/input/data/train (from SAGEMAKER_BASE_DIR)");
//! # Ok::<(), shardpack_channel::Error>(())
//! ```
//!
//! What AWS documents is followed; what it does not is decided here and said where it is: the
//! order of objects and who gets them ([`Delivery`]), and names of files in odd cases ([`layout`]).

mod config;
mod container;
mod error;
mod hosts;
mod hyper;
mod json;
mod layout;
mod name;
mod order;
mod ranks;
mod request;

pub use config::{ChannelConfig, InputDataConfig};
pub use container::{Candidate, Container, Env, Origin, Place};
pub use error::{Error, ErrorKind, Result};
pub use hosts::{InstanceGroup, Rank, ResourceConfig};
pub use hyper::Hyperparameters;
pub use layout::{Layout, LeftOut, Naming, layout};
pub use name::{Clash, clashes, fifo};
pub use order::{Assign, Delivery, permutation};
pub use ranks::Ranks;
pub use request::{
    ChannelRequest, DataSource, FileSystemSource, GroupRequest, JobRequest, S3Source, Violation,
};
pub use shardpack_manifest::sagemaker::{
    AccessMode, CompressionType, DataType, Distribution, FileSystemType, InputMode, PrefixNames,
    RecordWrapper, Word,
};
