//! What processes have used so far, as Linux counts it. Must not change them, but for forgetting their peak of memory.

use std::fs;
use std::io;

/// The kernel's unit of CPU time, which is the same on every machine that matters here.
const TICKS_PER_SECOND: f64 = 100.0;

/// Of several processes together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Use {
    /// In user mode and in the kernel.
    pub cpu_seconds: f64,
    /// Resident, now.
    pub memory_mb: f64,
    /// Resident, at the most since the last look.
    pub memory_peak_mb: f64,
}

/// Looks at processes, and has the kernel measure the next peak anew.
pub fn used(processes: &[u32]) -> io::Result<Use> {
    let mut sum = Use::default();
    for process in processes {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name in brackets may hold anything; user time is the 14th field, and the kernel's the one after it.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = fields.iter().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
        sum.cpu_seconds += ticks.sum::<f64>() / TICKS_PER_SECOND;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        sum.memory_mb += megabytes(&status, "VmRSS:");
        sum.memory_peak_mb += megabytes(&status, "VmHWM:");
        fs::write(format!("/proc/{process}/clear_refs"), "5")?;
    }
    Ok(sum)
}

fn megabytes(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1e3
}
