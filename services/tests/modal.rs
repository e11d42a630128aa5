//! The Modal app's own tests, with the packages that it is deployed with.

use crate::python::{app, check, python};

#[test]
fn the_app_passes_its_own_tests() {
    check(python().args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).arg(app()));
}
