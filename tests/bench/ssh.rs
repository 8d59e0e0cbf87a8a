//! What reaching many hosts costs, beside the tools that operators use for it: `cargo bench --bench ssh [-- --hosts N --times N]`.
//!
//! All tools work on the same real OpenSSH servers on loopback, one after the other, and all of their time includes the
//! servers' own work, which is the same for each. A tool that is not on the `PATH` is left out: `ssh`, `parallel-ssh` (pssh),
//! `clush`, `ansible`, `pyinfra`. Nothing is asserted. Ratios travel between machines, figures do not.
//!
//! Time is from start to end of the process, with the first contact including its own start. CPU is that of the client and
//! all its children; memory is the largest sum of their proportional shares (PSS), sampled.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench prints, and ends when it cannot go on"
)]

#[path = "../support/sshd.rs"]
#[allow(dead_code, unreachable_pub)] // shared: each uses its part
mod sshd;

#[path = "ssh/cost.rs"]
mod cost;
#[path = "ssh/peers.rs"]
mod peers;
#[path = "ssh/place.rs"]
mod place;

use cost::{Cost, measure, of_process};
use place::{Place, Quarterdeck};

/// Hosts that one server has.
const EACH: usize = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |flag: &str, default: usize| {
        let at = arguments.iter().position(|word| word == flag);
        at.and_then(|at| arguments.get(at + 1))
            .map_or(default, |number| number.parse().unwrap())
    };
    let (hosts, times) = (number("--hosts", 64), number("--times", 3));
    assert!(
        hosts >= 2 * EACH && hosts.is_multiple_of(EACH),
        "--hosts is a multiple of {EACH}, at least {}",
        2 * EACH
    );
    let place = Place::new(hosts, EACH);
    first_contact(&place, hosts, times);
    ten_checks(&place, hosts, times);
}

/// Connect to each host, run one command, disconnect: nothing is kept from one time to the next.
fn first_contact(place: &Place, hosts: usize, times: usize) {
    println!("## First contact: connect and run one command, {hosts} hosts\n");
    println!("| tool | time | CPU | memory | CPU for 1,000 hosts | memory for 1,000 hosts |");
    println!("|---|---|---|---|---|---|");
    for tool in peers::first_contact(place) {
        let at = |count: usize| middle(times, || measure(&mut tool.on(place, count)));
        let (few, all) = (at(EACH), at(hosts));
        let line = Line { few, all, hosts };
        println!(
            "| {} | {:.2} s | {:.2} s | {:.0} MiB | {:.0} s | {:.0} MiB |",
            tool.name,
            all.wall,
            all.cpu,
            all.memory,
            line.at(1000, |cost| cost.cpu),
            line.at(1000, |cost| cost.memory),
        );
    }
    println!();
}

/// The same ten states of files and directories checked on every host; all are as declared.
fn ten_checks(place: &Place, hosts: usize, times: usize) {
    println!("## Ten checks that find nothing to change, {hosts} hosts\n");
    println!("| tool | time | CPU | memory |");
    println!("|---|---|---|---|");
    let told = |name: &str, cost: Cost| {
        println!(
            "| {name} | {:.2} s | {:.2} s | {:.0} MiB |",
            cost.wall, cost.cpu, cost.memory
        );
    };
    {
        // With an engine that keeps its connections, as it does all day. Its share of the work counts.
        let engine = Quarterdeck::engine(place);
        measure(&mut engine.checks());
        let cost = middle(times, || {
            let before = of_process(engine.pid);
            let client = measure(&mut engine.checks());
            let after = of_process(engine.pid);
            Cost {
                cpu: client.cpu + after.cpu - before.cpu,
                memory: client.memory + after.memory,
                ..client
            }
        });
        told("quarterdeck, kept connections", cost);
    }
    for tool in peers::ten_checks(place) {
        // The first time brings the states about, and connects where connections are kept.
        measure(&mut tool.on(place, hosts));
        let cost = middle(times, || measure(&mut tool.on(place, hosts)));
        told(tool.name, cost);
    }
}

/// The measurement whose time is in the middle.
fn middle(times: usize, mut once: impl FnMut() -> Cost) -> Cost {
    let mut all: Vec<Cost> = (0..times.max(1)).map(|_| once()).collect();
    all.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    all[all.len() / 2]
}

/// A straight line through two measurements.
struct Line {
    few: Cost,
    all: Cost,
    hosts: usize,
}

impl Line {
    /// What it says of so many hosts; never less than what was measured.
    #[expect(clippy::cast_precision_loss, reason = "thousands of hosts at most")]
    fn at(&self, hosts: usize, what: impl Fn(&Cost) -> f64) -> f64 {
        let slope = (what(&self.all) - what(&self.few)) / (self.hosts - EACH) as f64;
        what(&self.all) + slope.max(0.0) * (hosts - self.hosts) as f64
    }
}
