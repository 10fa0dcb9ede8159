//! Credentials for requests of our own, asked for again before they run out.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::config::Credentials;
use tokio::sync::Mutex;

/// Credentials are renewed so long before they run out, as AWS's services lend new ones from then
/// on; those of a shorter life when half of it is over.
const RENEW: Duration = Duration::from_secs(5 * 60);

/// What a provider gave last.
#[derive(Debug)]
pub(super) struct Keys {
    provider: Option<SharedCredentialsProvider>,
    held: Mutex<Option<Held>>,
}

#[derive(Clone, Debug)]
struct Held {
    keys: Credentials,
    /// When to ask again; never for keys that last.
    again: Option<SystemTime>,
}

impl Keys {
    pub(super) fn new(provider: Option<SharedCredentialsProvider>) -> Self {
        Self { provider, held: Mutex::default() }
    }

    /// Whether there is somebody to ask.
    pub(super) fn are_there(&self) -> bool {
        self.provider.is_some()
    }

    /// The credentials of this moment; none where the provider has none, and the SDK is to say why.
    pub(super) async fn get(&self) -> Option<Credentials> {
        self.get_at(SystemTime::now()).await
    }

    async fn get_at(&self, now: SystemTime) -> Option<Credentials> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref()
            && held.again.is_none_or(|again| now < again)
        {
            return Some(held.keys.clone());
        }
        let given = self.provider.as_ref()?.provide_credentials().await.ok();
        // A service that does not answer now may do so before the old ones are over.
        let old = || held.take().map(|held| held.keys);
        let keys = given.or_else(old).filter(|keys| keys.expiry().is_none_or(|end| end > now));
        *held = keys.map(|keys| Held::new(keys, now));
        held.as_ref().map(|held| held.keys.clone())
    }
}

impl Held {
    /// Asks again in a part of the time that is left, so that a service which has no new keys yet is
    /// not asked at every request.
    fn new(keys: Credentials, now: SystemTime) -> Self {
        let again = keys.expiry().map(|end| {
            let left = end.duration_since(now).unwrap_or_default();
            end - RENEW.min(left / 2)
        });
        Self { keys, again }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use aws_credential_types::provider::error::CredentialsError;
    use aws_credential_types::provider::future::ProvideCredentials as Future;

    use super::*;

    /// Lends keys that run out at these seconds, one after the other; then none.
    #[derive(Debug)]
    struct Service {
        ends: Vec<u64>,
        asked: Arc<AtomicU64>,
    }

    impl ProvideCredentials for Service {
        fn provide_credentials<'a>(&'a self) -> Future<'a>
        where
            Self: 'a,
        {
            let number = self.asked.fetch_add(1, Relaxed) as usize;
            let keys =
                |end: &u64| Credentials::new(number.to_string(), "", None, Some(at(*end)), "");
            Future::ready(
                self.ends.get(number).map(keys).ok_or(CredentialsError::not_loaded("none")),
            )
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Ends of the keys that are lent, times of requests, the key that each gets.
    type Case = (&'static [u64], &'static [u64], &'static [Option<u64>]);

    #[test]
    fn new_ones_are_asked_for_in_time_and_not_at_every_request() {
        let cases: [Case; 5] = [
            (&[3600, 7200], &[0, 3299, 3300, 3301], &[Some(0), Some(0), Some(1), Some(1)]),
            // Of a short life: renewed when half of it is over.
            (&[60, 120], &[0, 29, 30, 74, 75], &[Some(0), Some(0), Some(1), Some(1), Some(1)]),
            // The service has nothing new yet: asked after half of what is left.
            (&[400, 400, 400], &[0, 200, 299, 300], &[Some(0), Some(1), Some(1), Some(2)]),
            // It is out of order: the old ones are used as long as they last.
            (&[1000], &[0, 700, 999, 1000], &[Some(0), Some(0), Some(0), None]),
            (&[], &[0, 1], &[None, None]),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (ends, times, expected) in cases {
            let asked = Arc::new(AtomicU64::new(0));
            let service = Service { ends: ends.to_vec(), asked: asked.clone() };
            let keys = Keys::new(Some(SharedCredentialsProvider::new(service)));
            let got: Vec<Option<u64>> = times
                .iter()
                .map(|&time| runtime.block_on(keys.get_at(at(time))))
                .map(|keys| keys.map(|keys| keys.access_key_id().parse().unwrap()))
                .collect();
            assert_eq!(got, expected, "{ends:?}");
        }
    }

    #[test]
    fn keys_that_last_are_asked_for_once() {
        let provider = SharedCredentialsProvider::new(Credentials::new("id", "", None, None, ""));
        let keys = Keys::new(Some(provider));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(keys.are_there() && !Keys::new(None).are_there());
        for time in [0, 1 << 40] {
            let got = runtime.block_on(keys.get_at(at(time)));
            assert_eq!(got.unwrap().access_key_id(), "id");
        }
        assert!(runtime.block_on(Keys::new(None).get()).is_none());
    }
}
