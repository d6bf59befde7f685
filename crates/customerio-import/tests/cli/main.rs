//! The real binary against the simulator, over the loopback.

#[cfg(unix)]
mod changed_inputs;
mod early_stop;
mod events;
mod fixture;
#[expect(dead_code, reason = "the client's own tests use the rest")]
#[path = "../../../customerio/tests/it/http2.rs"]
mod http2;
mod invalid_input;
mod journals;
mod kinds;
mod malformed;
#[cfg(target_os = "linux")]
mod memory;
mod models;
mod outages;
mod outcomes;
#[cfg(unix)]
mod output_files;
mod people;
mod plans;
#[expect(unreachable_pub, reason = "the recipes have it in a library")]
#[path = "../../../recipes/src/redis.rs"]
mod redis;
#[cfg(target_os = "linux")]
mod rehearsals;
mod repeated_runs;
mod reported_files;
#[cfg(unix)]
mod resumed_runs;
mod secrets;
mod shared_limits;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod terminal;
mod verify;
