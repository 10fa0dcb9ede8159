//! stub
use shardpack_advise::Answer;
pub(super) fn page(_: &Answer, _: &str) -> String {
    String::new()
}
