//! stub
#![allow(missing_docs)]
use std::path::Path;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct Error;
pub struct Probe;
impl std::fmt::Display for Probe {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
pub async fn probe(_: &Path, _: &Path) -> Result<Probe, Error> {
    Ok(Probe)
}
pub async fn audio_seconds(_: &Path, _: &Path) -> Result<f64, Error> {
    Ok(1.0)
}
pub async fn check_playable(_: &Path, _: &Path, _: f64) -> Result<(), Error> {
    Ok(())
}
