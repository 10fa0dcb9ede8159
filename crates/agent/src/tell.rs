//! Who hears of trouble that ends nothing.

use std::fmt;
use std::sync::Arc;

/// Is told of an epoch that ends too early, a read that fails, a mount that had to be forced. The
/// default hears nothing.
#[derive(Clone)]
pub struct Tell(Arc<dyn Fn(&str) + Send + Sync>);

impl Tell {
    /// Calls `hear` with each message, from any thread.
    pub fn new(hear: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    pub(crate) fn say(&self, message: &str) {
        (self.0)(message);
    }
}

impl Default for Tell {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tell").finish_non_exhaustive()
    }
}
