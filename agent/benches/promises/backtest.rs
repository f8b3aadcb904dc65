//! The past, judged as fast as it goes.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde::Deserialize;

use crate::figures::{Figures, Spans};
use crate::{Asked, now};

const TIMES: usize = 5;

#[derive(Deserialize)]
struct Report {
    samples: u64,
}

pub(crate) fn measure(_: &Asked, figures: &mut Figures) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the folder of the workspace")?;
    let data = root.join("tests/data/tep");
    let mut files: Vec<_> = std::fs::read_dir(&data)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with("_te.dat.gz"))
        .collect();
    files.sort();
    let (mut samples, mut spans) = (0, Vec::new());
    for _ in 0..TIMES {
        let began = now();
        let ran = Command::new(env!("CARGO_BIN_EXE_riskgate"))
            .args(["backtest", "--json", "--config"])
            .arg(root.join("config/tennessee-eastman"))
            .arg("--layout")
            .arg(data.join("layout.toml"))
            .arg("--history")
            .args(&files)
            .output()?;
        spans.push(began.elapsed());
        anyhow::ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        samples = serde_json::from_slice::<Report>(&ran.stdout)?.samples;
    }
    let spans = Spans::of(spans);
    let rate = samples as f64 / (spans.percentile(0.5) / 1_000.0);
    let what = format!("{samples} samples of {} files, unpacking and start included", files.len());
    figures.tell("samples each second", rate, "1/s", "", &what);
    figures.tell("the whole run", spans.percentile(0.5), "ms", "", &format!("median of {TIMES}"));
    Ok(())
}
