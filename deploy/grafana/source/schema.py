"""Holds the written dashboards against the types that Grafana publishes: wrong values, wrong types and unknown keys.

Usage: schema.py DIRECTORY, where npm installed @grafana/schema and typescript. Each dashboard becomes a literal of the published type, which
the compiler takes to the letter; it is written into DIRECTORY, because there the compiler finds the types.
"""

import json
import pathlib
import subprocess
import sys

DASHBOARDS = pathlib.Path(__file__).resolve().parents[1] / "dashboards"
KINDS = {"stat": "Stat", "timeseries": "TimeSeries", "state-timeline": "StateTimeline", "table": "Table"}

HEAD = """
import type { Dashboard, DataQuery, FieldConfigSource, Panel, RowPanel, VariableModel, AnnotationQuery } from "@grafana/schema";
%s

// In JSON a member of an enumeration is its value.
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
  : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

// What Prometheus's own query editor writes; the package has no type for it.
interface Query extends DataQuery {
  expr: string; legendFormat: string; instant: boolean; range: boolean; format: "time_series" | "table"; editorMode: "code" | "builder";
  exemplar: boolean;
}
type Of<Kind, Options, Custom> = Omit<Panel, "type" | "options" | "fieldConfig" | "targets"> &
  { type: Kind; options: Partial<Options>; fieldConfig: FieldConfigSource<Partial<Custom>>; targets: Query[] };
type Known = %s;
// A datasource's annotations have their query beside what the package knows of.
interface Annotation extends AnnotationQuery { expr: string; titleFormat: string; textFormat: string; step: string; useValueForTime: boolean }
// A variable that asks Prometheus says what, and the editor writes it down twice.
interface Variable extends Omit<VariableModel, "current"> { definition?: string; current: object }
interface Row extends Omit<RowPanel, "panels"> { panels: Known[] }
interface Board extends Omit<Dashboard, "panels" | "annotations" | "templating"> {
  panels: (Known | Row)[]; annotations: { list: Annotation[] }; templating: { list: Variable[] };
}
"""


def main(directory):
    directory = pathlib.Path(directory)
    place = "@grafana/schema/dist/esm/raw/composable/{0}/panelcfg/x/{1}PanelCfg_types.gen"
    imports = "\n".join(f'import type * as {name} from "{place.format(name.lower(), name)}";' for name in KINDS.values())
    # A stat has no settings of its own for a field.
    known = " | ".join(f'Of<"{kind}", {name}.Options, {"{}" if name == "Stat" else f"{name}.FieldConfig"}>' for kind, name in KINDS.items())
    text = HEAD % (imports, known)
    paths = sorted(DASHBOARDS.glob("*.json"))
    assert len(paths) >= 4, "the dashboards were not found"
    for path in paths:
        text += f"\nexport const {path.stem}: Plain<Board> = {json.dumps(json.loads(path.read_text()), indent=1)};\n"
    (directory / "dashboards.ts").write_text(text)
    compiler = [str(directory / "node_modules/.bin/tsc"), "--strict", "--noEmit", "--skipLibCheck", "--target", "es2022", "--module", "esnext",
                "--moduleResolution", "bundler", "dashboards.ts"]
    said = subprocess.run(compiler, cwd=directory, text=True, capture_output=True, timeout=120)
    print("\n".join((said.stdout + said.stderr).splitlines()[:40]) or f"{len(paths)} dashboards are what the published types say")
    sys.exit(said.returncode)


if __name__ == "__main__":
    main(sys.argv[1])
