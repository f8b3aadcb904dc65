//! What a checked configuration will run, in lines for `riskgate check`.

use riskgate_engine::{AlarmKind, Class};

use super::{Checked, Driver, SourceConfig};

impl Checked {
    /// One line for each source, then the counts.
    pub fn summary(&self) -> Vec<String> {
        let site = &self.site;
        let (uplink, console) = (&site.uplink, &site.console);
        let mut lines = vec![
            format!("网关 gateway    {} {}, company {}", site.gateway, site.name, site.company),
            format!("上传 uplink     {}:{}, topics {}/…", uplink.host, uplink.port, site.topics()),
            format!("看板 console    http://{}, socket {}", console.http, console.socket.display()),
            format!("存储 store      {}", site.store.dir.display()),
        ];
        lines.extend(self.sources.iter().map(|source| self.source_line(source)));
        let plant = &self.plant;
        let coverage = plant.coverage();
        let rules = plant.rules().len();
        let written = plant.rules().iter().filter(|rule| rule.kind() == AlarmKind::Rule).count();
        let (points, units, tasks) = (plant.points().len(), plant.units().len(), plant.tasks().len());
        let (zones, cameras) = (plant.zones().len(), plant.cameras().len());
        lines.push(format!("测点 points     {points}"));
        lines.extend(self.falling_gas());
        lines.push(format!("单元 units      {units}"));
        let without = match coverage.unwatched.as_slice() {
            [] => String::new(),
            unwatched => format!(", not {}", unwatched.join(", ")),
        };
        if site.model == super::ModelSource::Upstream {
            lines.push(match self.model {
                Some(version) => format!("模型 model      from upstream, version {version}"),
                None => {
                    "模型 model      from upstream by cmd/model; the chain here holds until then".to_owned()
                }
            });
        }
        lines.push(format!("措施 measures   {}: {coverage}{without}", plant.measures().len()));
        lines.push(format!("任务 tasks      {tasks}"));
        lines.push(format!("区域 zones      {zones}, 摄像头 cameras {cameras}"));
        let shadows = plant.rules().iter().filter(|rule| rule.is_shadow()).count();
        let shadows =
            if shadows > 0 { format!(", {shadows} in the shadow 试运行") } else { String::new() };
        lines.push(format!(
            "规则 rules      {rules} ({written} written, {} from limits{shadows})",
            rules - written
        ));
        lines.push(format!("哈希 hash       {}", self.hash));
        lines
    }

    /// 一级报警 of oxygen is read as L or as H by its value: which of them, a person must be able to see.
    fn falling_gas(&self) -> Option<String> {
        let gas = self.plant.points().iter().filter(|point| point.class == Class::Gas);
        let falling = gas.filter(|point| point.limits.l.is_some() || point.limits.ll.is_some());
        let shown: Vec<String> = falling
            .map(|point| {
                let limit = |name, limit: Option<f64>| limit.map(|limit| format!(" {name} {limit}"));
                let limits = [limit("L", point.limits.l), limit("LL", point.limits.ll)];
                format!("{}{}", point.tag, limits.into_iter().flatten().collect::<String>())
            })
            .collect();
        (!shown.is_empty()).then(|| format!("低报气体 gas    alarms when it falls: {}", shown.join(", ")))
    }

    fn source_line(&self, source: &SourceConfig) -> String {
        let points = self.plant.points().iter().filter(|point| point.source == source.id).count();
        let mut carries = match points {
            1 => "1 point".to_owned(),
            n => format!("{n} points"),
        };
        if let Some(draft) = self.plant.source(source.id) {
            for (carried, what) in [
                (draft.fixes, ", fixes"),
                (draft.sightings, ", sightings"),
                (draft.permits, ", permits"),
                (draft.events.is_some(), ", conditions"),
            ] {
                carries.push_str(if carried { what } else { "" });
            }
        }
        let what = match &source.driver {
            Driver::Modbus(device) => {
                let (endpoint, device_id) = (&device.endpoint, device.device_id);
                format!("{} {endpoint} device {device_id}, {carries}", endpoint.kind())
            }
            Driver::Opcua(server) => format!("opcua {}, {}, {carries}", server.url, server.security.channel),
            Driver::Mqtt(feed) => format!("mqtt {}:{}, {carries}", feed.host, feed.port),
        };
        format!("数据源 source   {}: {what}", source.name)
    }
}

impl super::Site {
    /// What the topics of this gateway begin with.
    pub fn topics(&self) -> String {
        format!("{}/{}/{}", self.uplink.root, self.company, self.gateway)
    }
}
