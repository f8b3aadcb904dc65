//! Lists of the model and point tables as workbooks: real `.xlsx` files, made here cell by cell.

use std::fmt::Write as _;
use std::path::PathBuf;

use riskgate::config::{Checked, check_files};

/// One cell.
enum Cell {
    Blank,
    /// In the table of shared texts, as Excel writes it.
    Text(&'static str),
    Number(f64),
    /// A number with the format of a date, of a date with time, and of a time.
    Day(f64),
    Moment(f64),
    Time(f64),
}

use Cell::{Blank, Day, Moment, Number, Text, Time};

struct Sheet {
    name: &'static str,
    rows: Vec<Vec<Cell>>,
    merged: Vec<&'static str>,
}

fn sheet(name: &'static str, rows: Vec<Vec<Cell>>) -> Sheet {
    Sheet { name, rows, merged: Vec::new() }
}

fn texts(cells: &[&'static str]) -> Vec<Cell> {
    cells.iter().map(|text| if text.is_empty() { Blank } else { Text(text) }).collect()
}

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELATIONS: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";

/// The bytes of a workbook of these sheets.
fn workbook(sheets: &[Sheet]) -> Vec<u8> {
    let mut shared: Vec<&str> = Vec::new();
    let mut files: Vec<(String, String)> = Vec::new();
    let (mut listed, mut related, mut types) = (String::new(), String::new(), String::new());
    for (n, sheet) in (1..).zip(sheets) {
        write!(listed, "<sheet name=\"{}\" sheetId=\"{n}\" r:id=\"rId{n}\"/>", sheet.name)
            .expect("as it is made");
        write!(
            related,
            "<Relationship Id=\"rId{n}\" Type=\"{OFFICE}/worksheet\" Target=\"worksheets/sheet{n}.xml\"/>"
        )
        .expect("as it is made");
        write!(
            types,
            "<Override PartName=\"/xl/worksheets/sheet{n}.xml\" ContentType=\"application/vnd.openxmlformats-\
             officedocument.spreadsheetml.worksheet+xml\"/>"
        )
        .expect("as it is made");
        files.push((format!("xl/worksheets/sheet{n}.xml"), worksheet(sheet, &mut shared)));
    }
    let strings: String = shared.iter().map(|text| format!("<si><t>{text}</t></si>")).collect();
    // Formats 1, 2 and 3: yyyy-mm-dd, with a time, and h:mm:ss.
    let styles = "<cellXfs count=\"4\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"22\"/>\
                  <xf numFmtId=\"21\"/></cellXfs>";
    let mut all = vec![
        (
            "[Content_Types].xml".to_owned(),
            format!(
                "{HEAD}<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default \
                 Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
                 <Default Extension=\"xml\" ContentType=\"application/xml\"/>{types}</Types>"
            ),
        ),
        (
            "_rels/.rels".to_owned(),
            format!(
                "{HEAD}<Relationships xmlns=\"{RELATIONS}\"><Relationship Id=\"rId1\" \
                 Type=\"{OFFICE}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml".to_owned(),
            format!(
                "{HEAD}<workbook xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\"><sheets>{listed}</sheets></workbook>"
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels".to_owned(),
            format!(
                "{HEAD}<Relationships xmlns=\"{RELATIONS}\">{related}<Relationship Id=\"rId101\" \
                 Type=\"{OFFICE}/sharedStrings\" Target=\"sharedStrings.xml\"/><Relationship Id=\"rId102\" \
                 Type=\"{OFFICE}/styles\" Target=\"styles.xml\"/></Relationships>"
            ),
        ),
        ("xl/sharedStrings.xml".to_owned(), format!("{HEAD}<sst xmlns=\"{MAIN}\">{strings}</sst>")),
        ("xl/styles.xml".to_owned(), format!("{HEAD}<styleSheet xmlns=\"{MAIN}\">{styles}</styleSheet>")),
    ];
    all.append(&mut files);
    zip(&all)
}

fn worksheet(sheet: &Sheet, shared: &mut Vec<&'static str>) -> String {
    let mut rows = String::new();
    for (row, cells) in (1..).zip(&sheet.rows) {
        write!(rows, "<row r=\"{row}\">").expect("as it is made");
        for (column, cell) in ('A'..='Z').zip(cells) {
            let at = format!("r=\"{column}{row}\"");
            match cell {
                Blank => {}
                Text(text) => {
                    let known = shared.iter().position(|of| of == text);
                    let place = known.unwrap_or(shared.len());
                    if known.is_none() {
                        shared.push(text);
                    }
                    write!(rows, "<c {at} t=\"s\"><v>{place}</v></c>").expect("as it is made");
                }
                Number(number) => write!(rows, "<c {at}><v>{number}</v></c>").expect("as it is made"),
                Day(serial) => write!(rows, "<c {at} s=\"1\"><v>{serial}</v></c>").expect("as it is made"),
                Moment(serial) => write!(rows, "<c {at} s=\"2\"><v>{serial}</v></c>").expect("as it is made"),
                Time(part) => write!(rows, "<c {at} s=\"3\"><v>{part}</v></c>").expect("as it is made"),
            }
        }
        rows.push_str("</row>");
    }
    let merged: String = sheet.merged.iter().map(|of| format!("<mergeCell ref=\"{of}\"/>")).collect();
    let merged = if merged.is_empty() { merged } else { format!("<mergeCells>{merged}</mergeCells>") };
    format!("{HEAD}<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData>{merged}</worksheet>")
}

/// An archive of files as they are, without compression.
fn zip(files: &[(String, String)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    let short = |number: usize| u16::try_from(number).expect("as it is made").to_le_bytes();
    let long = |number: usize| u32::try_from(number).expect("as it is made").to_le_bytes();
    for (name, text) in files {
        let at = long(bytes.len());
        let mut about = vec![20, 0, 0, 8, 0, 0, 0, 0, 0, 0];
        about.extend(crc(text.as_bytes()).to_le_bytes());
        about.extend([long(text.len()), long(text.len())].concat());
        about.extend([short(name.len()), [0, 0]].concat());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&about);
        bytes.extend([name.as_bytes(), text.as_bytes()].concat());
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&about);
        directory.extend([0; 10]);
        directory.extend(at);
        directory.extend(name.as_bytes());
    }
    let start = long(bytes.len());
    let size = long(directory.len());
    bytes.append(&mut directory);
    bytes.extend(b"PK\x05\x06\x00\x00\x00\x00");
    bytes.extend([short(files.len()), short(files.len())].concat());
    bytes.extend([size, start].concat());
    bytes.extend([0, 0]);
    bytes
}

fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let bit = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        (0..8).fold(crc ^ u32::from(*byte), bit)
    };
    !bytes.iter().fold(u32::MAX, step)
}

const SITE: &str = r#"
[gateway]
company = "540170007"
id      = "54017000701"
name    = "示例"
[uplink]
host = "127.0.0.1"
[store]
dir = "./state"
[[source]]
id   = "dcs"
name = "DCS"
kind = "modbus-tcp"
host = "10.0.0.5"
[[source]]
id   = "people"
name = "人员定位"
kind = "mqtt"
host = "10.0.0.8"
stale_after = "60s"
fixes = [{ topic = "rtls/fix", tag = "$.tag", zone = "$.zone" }]
"#;

fn files(sheets: &[Sheet]) -> Vec<(PathBuf, Vec<u8>)> {
    vec![
        (PathBuf::from("site.toml"), SITE.as_bytes().to_vec()),
        (PathBuf::from("model.xlsx"), workbook(sheets)),
    ]
}

fn checked(sheets: &[Sheet]) -> Checked {
    check_files(files(sheets)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn said(sheets: &[Sheet]) -> String {
    match check_files(files(sheets)) {
        Ok(_) => panic!("it passes"),
        Err(problems) => problems.render(false),
    }
}

/// Units, measures, tasks, zones, persons, days and points, as people keep them.
fn chinese() -> Vec<Sheet> {
    let measures = Sheet {
        merged: vec!["A1:G1", "B3:B4"],
        ..sheet(
            "措施",
            vec![
                texts(&["管控措施清单"]),
                texts(&["措施编号", "单元编号", "风险事件", "措施名称", "措施大类", "措施小类", "管控方式"]),
                // Numbers as numbers, and as texts; the unit is one cell over both rows.
                vec![
                    Text("M-1"),
                    Text("tank-a"),
                    Text("满溢"),
                    Text("液位高高报"),
                    Number(1.0),
                    Text("1-1"),
                    Number(1.0),
                ],
                vec![
                    Text("M-2"),
                    Blank,
                    Text("泄漏"),
                    Text("巡检"),
                    Text("2"),
                    Text("2-2"),
                    Text("隐患排查"),
                ],
            ],
        )
    };
    let tasks = sheet(
        "任务",
        vec![
            texts(&[
                "任务编号",
                "措施编号",
                "排查内容",
                "排查周期",
                "周期单位",
                "任务开始时间",
                "工作开始时间",
                "工作结束时间",
                "任务类型",
                "排查班组",
            ]),
            Vec::new(),
            vec![
                Text("T-1"),
                Text("M-2"),
                Text("查法兰"),
                Number(4.0),
                Text("小时"),
                Day(46_296.0),
                Time(1.0 / 3.0),
                Text("17:00"),
                Text("0"),
                Text("甲班"),
            ],
            vec![
                Text("T-2"),
                Text("M-2"),
                Text("查基础"),
                Text("3"),
                Text("月"),
                Moment(46_296.0 + 8.5 / 24.0),
                Blank,
                Blank,
                Number(2.0),
                Text("乙班"),
            ],
            vec![
                Text("T-3"),
                Text("M-2"),
                Text("查接地"),
                Text("1年"),
                Blank,
                Number(46_296.0),
                Number(0.375),
                Text("24:00"),
                Blank,
                Text("乙班"),
            ],
        ],
    );
    vec![
        sheet(
            "单元",
            vec![
                texts(&["单元编号", "单元名称", "对象编码", "风险等级", "责任部门", "责任人"]),
                vec![
                    Text("tank-a"),
                    Text("罐区A"),
                    Number(540_170_007_001.0),
                    Text("较大"),
                    Text("储运部"),
                    Text("张三"),
                ],
            ],
        ),
        measures,
        tasks,
        sheet(
            "区域",
            vec![
                texts(&["区域编号", "区域名称", "单元编号", "限员", "边界"]),
                vec![Text("dike"), Text("防火堤"), Text("tank-a"), Text("3"), Text("0 0; 40 0; 40 25")],
            ],
        ),
        sheet(
            "人员",
            vec![
                texts(&["工号", "姓名", "岗位", "卡号"]),
                vec![Number(1001.0), Text("李四"), Text("操作工"), Text("T-1；T-2")],
            ],
        ),
        sheet(
            "日历",
            vec![
                texts(&["日期", "工作日"]),
                vec![Day(46_296.0), Text("休")],
                vec![Text("2026/10/2"), Number(0.0)],
                vec![Text("20261010"), Text("班")],
            ],
        ),
        sheet(
            "点表",
            vec![
                texts(&[
                    "位号",
                    "名称",
                    "数据源",
                    "地址",
                    "数据类型",
                    "量程下限",
                    "量程上限",
                    "高高报",
                    "管控措施",
                ]),
                vec![
                    Text("LT-101"),
                    Text("液位"),
                    Text("dcs"),
                    Text("holding:0"),
                    Text("f32"),
                    Number(0.0),
                    Text("100"),
                    Text("95"),
                    Text("M-1"),
                ],
            ],
        ),
        sheet("说明", vec![texts(&["本表由仪表车间维护"])]),
    ]
}

#[test]
fn lists_and_points_of_a_workbook_with_chinese_headers_are_read_as_people_keep_them() {
    let plant = checked(&chinese()).plant;
    let unit = &plant.units()[0];
    assert_eq!((unit.id.as_str(), unit.name.as_str(), unit.base.number()), ("tank-a", "罐区A", 2));
    assert_eq!((unit.hazard_code.as_str(), unit.liable_person.as_str()), ("540170007001", "张三"));
    let tasks = plant.tasks();
    let hours: Vec<_> =
        tasks.iter().map(|task| (task.cycle.as_secs() / 3600, task.months, task.hours)).collect();
    assert_eq!(
        hours,
        [
            (4, None, Some((8 * 3600, 17 * 3600))),
            (90 * 24, Some(3), None),
            (365 * 24, Some(12), Some((9 * 3600, 24 * 3600)))
        ]
    );
    // 2026-10-01 in the site's zone, in three ways to write it.
    let midnight = 1_790_784_000_000;
    let starts: Vec<_> = tasks.iter().map(|task| task.start.expect("as it is made").0 - midnight).collect();
    assert_eq!(starts, [0, (8 * 3600 + 1800) * 1000, 0]);
    assert_eq!(tasks.iter().map(|task| task.work_type).collect::<Vec<_>>(), [0, 2, 0]);
    let zone = &plant.zones()[0];
    assert_eq!((zone.limit, zone.polygon.len(), zone.unit.as_str()), (Some(3), 3, "tank-a"));
    let days: Vec<_> = plant.time().days.iter().map(|(day, worked)| (day.to_string(), *worked)).collect();
    let day = |day: &str, worked| (day.to_owned(), worked);
    assert_eq!(days, [day("2026-10-01", false), day("2026-10-02", false), day("2026-10-10", true)]);
    let point = &plant.points()[0];
    assert_eq!((point.range, point.watch.limits.hh), (Some((0.0, 100.0)), Some(95.0)));
}

#[test]
fn english_headers_say_the_same() {
    let mut sheets = chinese();
    let headers: [&[&str]; 7] = [
        &["unit_id", "name", "hazard_code", "base_class", "department", "liable_person"],
        &["measure_id", "unit_id", "event_id", "name", "classify1", "classify2", "automatic"],
        &[
            "task_id",
            "measure_id",
            "content",
            "cycle",
            "cycle_unit",
            "start",
            "work_start",
            "work_end",
            "work_type",
            "assignee",
        ],
        &["zone_id", "name", "unit_id", "limit", "polygon"],
        &["person_id", "name", "role", "tags"],
        &["date", "workday"],
        &["tag", "name", "source", "address", "type", "range_low", "range_high", "HH", "measure"],
    ];
    for (sheet, header) in sheets.iter_mut().zip(headers) {
        let at = usize::from(sheet.name == "措施");
        sheet.rows[at] = header.iter().map(|text| Text(text)).collect();
    }
    let (chinese, english) = (checked(&chinese()).plant, checked(&sheets).plant);
    let seen = |plant: &riskgate_engine::Plant| {
        format!("{:?} {:?} {:?} {:?}", plant.units(), plant.tasks(), plant.zones(), plant.points())
    };
    assert_eq!(seen(&english), seen(&chinese));
}

#[test]
fn each_fault_is_told_with_its_sheet_and_cell() {
    let mut sheets = chinese();
    // The unit, the measures, the tasks, the zone, the person, the days and the point.
    sheets[0].rows[1][3] = Text("特大");
    sheets[1].rows[2][5] = Text("9-1");
    sheets[1].merged.pop();
    sheets[2].rows[2][3] = Day(46_296.0);
    sheets[2].rows[3][5] = Text("下周一");
    sheets[2].rows[4][6] = Text("九点");
    sheets[3].rows[1][3] = Number(2.5);
    sheets[3].rows[1][4] = Text("0 0; 40");
    sheets[4].rows.push(vec![Number(1001.0), Text("王五")]);
    sheets[5].rows[2][0] = Number(46_296.0);
    sheets[5].rows[3][1] = Text("也许");
    sheets[6].rows[1][7] = Moment(46_296.5);
    insta::assert_snapshot!(said(&sheets));
}
