//! SageMaker's input modes, off SageMaker.
//!
//! A [`Job`] says which channels there are; a [`Survey`] lists them and looks at every rule that
//! SageMaker has for them; an [`Agent`] brings them up below a folder that plays `/opt/ml`: files
//! (File), a mount (FastFile), FIFOs (Pipe), the configuration files and the environment. [`run()`]
//! runs a training command among them.
//!
//! ```
//! use std::io::Read;
//!
//! use shardpack_agent::{Agent, Choices, Job, Options, Survey};
//!
//! let home = tempfile::tempdir()?;
//! std::fs::create_dir(home.path().join("shards"))?;
//! std::fs::write(home.path().join("shards/a.tfrecord"), b"records")?;
//!
//! let channel = format!("train={}/shards,mode=Pipe", home.path().display());
//! let job = Job::with_flags(None, &[channel], &Default::default())?;
//! let hosts = job.hosts(&[], None)?;
//! let no_s3: shardpack_agent::Connect = &|_| unreachable!("all is local");
//! let survey = Survey::new(&job, &hosts, &Choices::default(), no_s3)?;
//!
//! let options = Options { root: home.path().join("ml"), ..Options::default() };
//! let agent = Agent::up(job, hosts, survey, &options)?;
//! let fifo = format!("{}_0", agent.environment(&[])["SM_CHANNEL_TRAIN"]);
//! let mut bytes = Vec::new();
//! std::fs::File::open(fifo)?.read_to_end(&mut bytes)?;
//! assert_eq!(bytes, b"records");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What AWS documents is followed; what it leaves open is decided in [`Choices`] and where it is
//! done, and is no claim of what a job on SageMaker does.

mod agent;
mod crew;
mod emit;
mod env;
mod error;
mod fast;
mod faults;
mod file;
mod finding;
mod folder;
mod job;
mod launch;
mod objects;
mod pipe;
mod progress;
mod root;
mod run;
mod stop;
mod survey;
mod tell;
mod watchdog;
mod yaml;

pub use agent::{Agent, Options};
pub use emit::{Emitted, emit};
pub use error::{Error, Result};
pub use faults::Faults;
pub use finding::Finding;
pub use job::{Job, channel_of};
pub use launch::launch;
pub use progress::Progress;
pub use root::{Down, down};
pub use run::{Ended, Signals, run};
pub use stop::Stop;
pub use survey::{Choices, Connect, Held, Survey};
pub use tell::Tell;
pub use watchdog::watch;
