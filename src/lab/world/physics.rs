//! Load and temperature as functions of seed, time and work: smooth, lively, and the same again for the same seed.

use jiff::Timestamp;

/// A stretch of work that kept processors busy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// When it began.
    pub(crate) from: Timestamp,
    /// How long it takes, seconds.
    pub(crate) seconds: f32,
    /// How many runnable processes it adds.
    pub(crate) amount: f32,
}

/// Seconds over which the kernel averages the three figures of `/proc/loadavg`.
const WINDOWS: [f32; 3] = [60.0, 300.0, 900.0];

/// The three load averages at `now`.
///
/// Work adds to an exponentially weighted average just as the kernel computes it: rising while it lasts, then decaying
/// with the window's time constant.
pub(crate) fn load(seed: u64, idle: f32, work: &[Work], now: Timestamp) -> [f32; 3] {
    WINDOWS.map(|window| {
        let background = idle * (1.0 + 0.5 * wave(seed, now, window / 3.0));
        let added: f32 = work
            .iter()
            .map(|work| {
                let since = seconds_between(work.from, now);
                if since < 0.0 {
                    return 0.0;
                }
                let busy = since.min(work.seconds);
                let risen = work.amount * (1.0 - (-busy / window).exp());
                risen * (-(since - busy) / window).exp()
            })
            .sum();
        (background + added).max(0.0)
    })
}

/// Degrees Celsius of a board that idles at `cool`, under the one-minute load `load`.
pub(crate) fn temperature(seed: u64, cool: f32, load: f32, now: Timestamp) -> f32 {
    cool + 1.2 * wave(seed ^ 0x7e39, now, 40.0) + 7.5 * load.min(4.0)
}

/// Whether a stretch of work no longer shows in any average.
pub(crate) fn is_forgotten(work: &Work, now: Timestamp) -> bool {
    seconds_between(work.from, now) > work.seconds + 5.0 * WINDOWS[2]
}

/// A smooth random curve between -1 and 1 with knots every `period` seconds.
fn wave(seed: u64, now: Timestamp, period: f32) -> f32 {
    let position = now.as_millisecond() as f64 / (f64::from(period) * 1000.0);
    let knot = position.floor();
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the fraction is below 1; the knot of any date fits"
    )]
    let (part, knot) = ((position - knot) as f32, knot as i64);
    let smooth = part * part * (3.0 - 2.0 * part);
    let (left, right) = (knot_height(seed, knot), knot_height(seed, knot + 1));
    left + (right - left) * smooth
}

fn knot_height(seed: u64, knot: i64) -> f32 {
    let mixed = seed ^ knot.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    fastrand::Rng::with_seed(mixed).f32() * 2.0 - 1.0
}

fn seconds_between(from: Timestamp, to: Timestamp) -> f32 {
    to.duration_since(from).as_secs_f32()
}
