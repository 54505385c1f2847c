//! What the kernel counts of this process, under the names that Prometheus's own clients give it.
//!
//! Must not fail: what cannot be read is left out, as everything is where there is no `/proc`.

use std::fmt::Error;
use std::fs::{read_dir, read_to_string};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Ticks of a second in `/proc/self/stat`, the same on every Linux.
const TICKS: f64 = 100.0;

/// Read anew each time that somebody asks.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        if let Some(seconds) = read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
            let help = "User and system CPU time that was used";
            encode(&mut encoder, "process_cpu", help, Some(Unit::Seconds), &ConstCounter::new(seconds))?;
        }
        let status = read_to_string("/proc/self/status").unwrap_or_default();
        let memory = [
            ("VmRSS:", "process_resident_memory", "Memory in use"),
            ("VmSize:", "process_virtual_memory", "Addresses in use"),
        ];
        for (line, name, help) in memory {
            if let Some(kilobytes) = number_after(&status, line) {
                encode(&mut encoder, name, help, Some(Unit::Bytes), &ConstGauge::new(kilobytes * 1024.0))?;
            }
        }
        if let Ok(open) = read_dir("/proc/self/fd") {
            // One of them is this folder.
            let open = i64::try_from(open.count()).unwrap_or(i64::MAX) - 1;
            encode(&mut encoder, "process_open_fds", "Open file descriptors", None, &ConstGauge::new(open))?;
        }
        let limits = read_to_string("/proc/self/limits").unwrap_or_default();
        if let Some(most) = number_after(&limits, "Max open files") {
            let help = "The most file descriptors that may be open";
            encode(&mut encoder, "process_max_fds", help, None, &ConstGauge::new(most))?;
        }
        Ok(())
    }
}

fn encode(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    metric: &impl EncodeMetric,
) -> Result<(), Error> {
    metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), metric.metric_type())?)
}

/// The number that follows these words at the beginning of a line.
fn number_after(text: &str, words: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(words))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Fields 14 and 15, counted behind the program's name, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    Some((fields.next()?.ok()? + fields.next()?.ok()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "7 (a) b 1) S 1 7 7 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 4 0 1 2 3 18446744073709551615";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("7 (easel) S 1"), None);
        let status = "Name:\teasel\nVmRSS:\t    2048 kB\n";
        assert_eq!(number_after(status, "VmRSS:"), Some(2048.0));
        assert_eq!(number_after("Max open files  unlimited  unlimited  files\n", "Max open files"), None);
    }
}
