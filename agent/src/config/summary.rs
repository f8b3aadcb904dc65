//! What a checked configuration will run, in lines for `riskgate check`.

use std::collections::HashSet;

use super::{Checked, Driver, SourceConfig};

impl Checked {
    /// One line for each source, then the counts.
    pub fn summary(&self) -> Vec<String> {
        let site = &self.site;
        let mut lines = vec![
            format!("gateway  {} ({}), company {}", site.gateway, site.name, site.company),
            format!("uplink   {}:{}, topics {}", site.uplink.host, site.uplink.port, site.topics()),
            format!("console  http://{}, socket {}", site.console.http, site.console.socket.display()),
            format!("store    {}", site.store.dir.display()),
        ];
        lines.extend(self.sources.iter().map(|source| self.source_line(source)));
        let plant = &self.plant;
        let watched: HashSet<&str> = self.watched().collect();
        let automatic = plant.measures().iter().filter(|measure| measure.automatic);
        let written = self.rule_measures.len();
        let limits = plant.points().iter().map(limits_of).sum::<usize>();
        let (points, units, tasks) = (plant.points().len(), plant.units().len(), plant.tasks().len());
        let (zones, cameras) = (plant.zones().len(), plant.cameras().len());
        lines.push(format!("points   {points}"));
        lines.push(format!("units    {units}, tasks {tasks}, zones {zones}, cameras {cameras}"));
        lines.push(format!(
            "measures {} ({} watched, {} automatic)",
            plant.measures().len(),
            plant.measures().iter().filter(|measure| watched.contains(measure.id.as_str())).count(),
            automatic.count(),
        ));
        lines.push(format!("rules    {} ({written} written, {limits} from limits)", written + limits));
        lines.push(format!("hash     {}", self.hash));
        lines
    }

    /// Measures that a limit or a written rule watches.
    fn watched(&self) -> impl Iterator<Item = &str> {
        let by_limits = self.plant.points().iter().filter(|point| limits_of(point) > 0);
        let by_limits = by_limits.filter_map(|point| point.measure.as_deref());
        by_limits.chain(self.rule_measures.iter().map(String::as_str))
    }

    fn source_line(&self, source: &SourceConfig) -> String {
        let points = self.plant.points().iter().filter(|point| point.source == source.id).count();
        let what = match &source.driver {
            Driver::Modbus(device) => {
                format!(
                    "modbus-tcp {}:{} device {}, {points} points",
                    device.host, device.port, device.device_id
                )
            }
            Driver::Opcua(server) => format!("opcua {}, {points} points", server.url),
            Driver::Mqtt(feed) => {
                let draft = self.plant.source(source.id);
                let fixes = draft.is_some_and(|draft| draft.fixes).then_some(", fixes").unwrap_or_default();
                let sightings =
                    draft.is_some_and(|draft| draft.sightings).then_some(", sightings").unwrap_or_default();
                format!("mqtt {}:{}, {points} points{fixes}{sightings}", feed.host, feed.port)
            }
        };
        format!("source   {}: {what}", source.name)
    }
}

fn limits_of(point: &riskgate_engine::PointDraft) -> usize {
    let limits = point.limits;
    [limits.ll, limits.l, limits.h, limits.hh].iter().flatten().count()
}

impl super::Site {
    /// What the topics of this gateway begin with.
    pub fn topics(&self) -> String {
        format!("{}/{}/{}", self.uplink.root, self.company, self.gateway)
    }
}
