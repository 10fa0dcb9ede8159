//! S3: the one place that knows futures.
//!
//! Callers are plain threads; a call blocks until it is answered, and many threads have many calls
//! under way. [`S3`] is the connection: credentials, limits, retries. [`S3Tree`] lists and reads
//! objects as files to pack, [`S3Store`] holds datasets.

mod backlog;
mod calls;
mod connect;
mod copy;
mod credentials;
mod cuts;
mod fault;
mod fetch;
mod get;
mod keys;
mod list;
mod multipart;
mod object;
mod objects;
mod options;
mod pace;
mod parts;
mod put;
mod range;
mod retry;
mod store;
mod tree;
mod upload;
mod uri;
mod wire;

pub use connect::S3;
pub use objects::S3Objects;
pub use options::{OnRetry, Retried, S3Encryption, S3Options};
pub use store::S3Store;
pub use tree::{S3Rules, S3Tree};
pub use uri::S3Uri;
