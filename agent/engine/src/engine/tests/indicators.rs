//! Indicators over weeks. The calendar says Wednesday 06:13:20 at zero: the week ends on Monday, at 409600 s.

use crate::indicator::Analysis;
use crate::site::{check, draft, rule, ruled, secs};
use crate::*;

fn daily() -> Draft {
    let mut draft = ruled(vec![rule("hot", "{TI} > 80")]);
    draft.points[3].stale_after = secs(10_000_000);
    draft.tasks.truncate(1);
    draft.tasks[0].cycle = secs(24 * 3600);
    draft
}

#[test]
fn cycles_count_by_their_records_in_the_week_that_they_end_in() {
    check(
        daily(),
        "
1s TI 50
1s indicators
  none
64001s indicators
  week from -195200s seen 61260s: tasks 0/0, missed, suspended 0, unknown 1; hazards 0/0
70000s record T-1 normal
  70000s record T-1 Normal by 王 of 64000s to 150400s
  70000s task T-1 every 86400s
  236800s task T-1 every 86400s overdue since 236800s
300000s indicators
  week from -195200s seen 298060s: tasks 1/2, missed T-1 x1, suspended 0, unknown 1; hazards 0/0
320000s stop U-1
  320000s stop U-1 #1
  320000s task T-1 every 86400s suspended
330000s start U-1
  330000s stop U-1 #1 ended
  330000s task T-1 every 86400s
409599s indicators
  week from -195200s seen 406060s: tasks 1/2, missed T-1 x1, suspended 1, unknown 1; hazards 0/0
409700s indicators
  last from -195200s seen 409600s: tasks 1/2, missed T-1 x1, suspended 2, unknown 1; hazards 0/0
  week from 409600s seen 0s: tasks 0/0, missed, suspended 0, unknown 0; hazards 0/0
  496000s task T-1 every 86400s overdue since 496000s
500000s record T-1 normal
  500000s record T-1 Normal by 王 of 496000s to 582400s
  500000s task T-1 every 86400s
600000s restart
  600010s alarm fault:source:plc unacknowledged #1 blinds M-1
  600010s alarm fault:source:rtls unacknowledged #1
  600060s alarm fault:source:nvr unacknowledged #1
600100s indicators
  last from -195200s seen 409600s: tasks 1/2, missed T-1 x1, suspended 2, unknown 1; hazards 0/0
  week from 409600s seen 187260s: tasks 1/2, missed T-1 x1, suspended 0, unknown 0; hazards 0/0
  603600s hazard M-1 fault:plc: a candidate by fault:source:plc
  605400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  607200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  609000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  610800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  612600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  614400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  616200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  618000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  619800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  621600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  623400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  625200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  627000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  628800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  630600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  632400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  634200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  636000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  637800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  639600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  641400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  643200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  645000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  646800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  648600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  650400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  652200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  654000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  655800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  657600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  659400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  661200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  663000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  664800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  666600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  668400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  668800s task T-1 every 86400s overdue since 668800s
  670200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  672000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  673800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  675600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  677400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  679200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  681000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  682800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  684600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  686400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  688200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  690000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  691800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  693600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  695400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  697200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  699000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  700800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  702600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  704400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  706200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  708000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  709800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  711600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  713400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  715200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  717000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  718800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  720600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  722400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  724200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  726000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  727800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  729600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  731400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  733200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  735000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  736800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  738600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  740400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  742200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  744000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  745800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  747600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  749400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  751200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  753000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  754800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  756600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  758400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  760200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  762000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  763800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  765600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  767400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  769200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  771000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  772800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  774600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  776400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  778200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  780000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  781800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  783600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  785400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  787200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  789000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  790800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  792600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  794400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  796200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  798000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  799800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  801600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  803400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  805200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  807000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  808800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  810600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  812400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  814200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  816000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  817800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  819600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  821400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  823200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  825000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  826800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  828600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  830400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  832200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  834000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  835800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  837600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  839400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  841200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  843000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  844800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  846600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  848400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  850200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  852000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  853800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  855600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  857400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  859200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  861000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  862800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  864600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  866400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  868200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  870000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  871800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  873600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  875400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  877200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  879000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  880800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  882600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  884400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  886200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  888000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  889800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  891600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  893400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  895200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  897000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  898800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  900600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  902400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  904200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  906000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  907800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  909600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  911400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  913200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  915000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  916800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  918600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  920400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  922200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  924000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  925800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  927600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  929400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  931200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  933000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  934800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  936600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  938400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  940200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  942000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  943800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  945600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  947400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  949200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  951000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  952800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  954600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  956400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  958200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  960000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  961800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  963600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  965400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  967200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  969000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  970800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  972600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  974400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  976200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  978000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  979800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  981600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  983400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  985200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  987000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  988800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  990600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  992400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  994200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  996000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  997800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  999600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1001400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1003200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1005000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1006800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1008600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1010400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1012200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1014000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1015800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1017600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1019400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1021200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1023000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1024800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1026600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1028400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1030200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1032000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1033800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1035600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1037400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1039200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1041000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1042800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1044600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1046400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1048200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1050000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1051800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1053600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1055400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1057200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1059000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1060800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1062600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1064400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1066200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1068000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1069800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1071600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1073400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1075200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1077000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1078800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1080600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1082400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1084200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1086000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1087800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1089600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1091400s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1093200s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1095000s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1096800s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
  1098600s alarm fault:source:plc unacknowledged #1 blinds M-1, re_alarmed
1100000s indicators
  last from 409600s seen 601600s: tasks 1/7, missed T-1 x6, suspended 0, unknown 0; hazards 0/0
  week from 1014400s seen 82800s: tasks 0/0, missed, suspended 0, unknown 0; hazards 0/0
",
    );
}

#[test]
fn a_hazard_counts_when_its_deadline_is_reached_and_as_mended_once_it_is_accepted() {
    check(
        draft(),
        "
1s LI 99
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s confirm limit:GD-1
  2s hazard M-2 limit:GD-1: rectifying by GD-1/H
  6s alarm LI/H unacknowledged #1
86399s indicators
  week from -195200s seen 85660s: tasks 0/0, missed, suspended 0, unknown 6; hazards 0/0
  86401s hazard M-1 limit:LI: rectifying by LI/HH overdue since 86401s
  86402s hazard M-2 limit:GD-1: rectifying by GD-1/H overdue since 86402s
90100s indicators
  week from -195200s seen 89260s: tasks 0/0, missed, suspended 0, unknown 6; hazards 0/2
90101s rectify limit:LI
  90101s hazard M-1 limit:LI: awaiting acceptance by LI/HH overdue since 86401s
90102s accept limit:LI
  90102s hazard M-1 limit:LI: accepted by LI/HH overdue since 86401s
90200s indicators
  week from -195200s seen 90162s: tasks 0/0, missed, suspended 0, unknown 6; hazards 1/2
90201s restart
  90211s alarm fault:source:plc unacknowledged #1 blinds M-1 M-2
  90211s alarm fault:source:rtls unacknowledged #1
  90261s alarm fault:source:nvr unacknowledged #1
  93801s hazard M-1 fault:plc: a candidate by fault:source:plc
  93801s hazard M-2 fault:plc: a candidate by fault:source:plc
94000s indicators
  week from -195200s seen 92821s: tasks 0/0, missed, suspended 0, unknown 8; hazards 1/2
",
    );
}

#[test]
fn what_is_accepted_before_its_deadline_counts_when_that_is_reached_whatever_comes_after() {
    check(
        draft(),
        "
1s LI 99
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
2s rectify limit:LI
  2s hazard M-1 limit:LI: awaiting acceptance by LI/HH
3s accept limit:LI
  3s hazard M-1 limit:LI: accepted by LI/HH
4s LI 50
  4s alarm LI/HH returned #1
5s LI 99
  5s alarm LI/HH unacknowledged #2
  5s hazard M-1 limit:LI: rectifying by LI/HH opening 2 recurrence 1
  10s alarm LI/H unacknowledged #1
80000s indicators
  week from -195200s seen 78460s: tasks 0/0, missed, suspended 0, unknown 6; hazards 0/0
  86405s hazard M-1 limit:LI: rectifying by LI/HH opening 2 recurrence 1 overdue since 86405s
90100s indicators
  week from -195200s seen 89260s: tasks 0/0, missed, suspended 0, unknown 6; hazards 1/2
",
    );
}

#[test]
fn an_object_is_analysed_that_reaches_down_to_a_task() {
    let of = |change: &dyn Fn(&mut Draft)| {
        let mut draft = draft();
        change(&mut draft);
        let (plant, _) = Plant::build(draft).unwrap();
        let analysis = Analysis::of(&plant);
        (analysis.complete, analysis.objects, analysis.lacking.values().copied().collect::<Vec<_>>())
    };
    assert_eq!(of(&|_| {}), (1, 1, vec![]));
    assert_eq!(of(&|draft| draft.tasks.clear()), (0, 1, vec![Lacks::Task]));
    let object = |id: &str| ObjectDraft { id: id.to_owned(), name: "x".to_owned(), major: false };
    let listed = |draft: &mut Draft| {
        draft.objects = ["540170007001", "540170007002"].map(object).to_vec();
    };
    assert_eq!(of(&listed), (1, 2, vec![Lacks::Unit]));
}
