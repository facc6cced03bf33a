// What the scripts hold in their hands, for the type checker alone: nothing of this is sent to a browser.
// The frames are those of hub/model/views.py with `times="ms"`; the parts of a page are those of dashboard/templates.

/** The path below which the hub stands, "" at the root of its site: written into the scripts as they are made. */
declare const BASE_PATH: string;

type Language = "en" | "id";
type Metric = "cpu_usage" | "memory_usage" | "disk_usage" | "gpu_usage" | "temperature";
/** What came as JSON of no fixed shape: arguments, results and errors of commands. */
type Free = Record<string, any>;

interface Readings extends Record<Metric, number | null> {
  taken_at: number;
  uptime_s: number | null;
  reasons: Record<string, string>;
}

interface Lease {
  id: number;
  admin_id: number;
  name: string;
  status: string;
  since: number;
  expires_at: number | null;
  reason: string;
  approval_wanted: boolean;
}

interface Job {
  id: string;
  rvm_id: number;
  name: string;
  args: Free;
  state: string;
  issued_by: string;
  issued_at: number;
  expires_at: number;
  sent_at: number | null;
  finished_at: number | null;
  progress: Free | null;
  result: Free | null;
  error: Free | null;
  group_id: string | null;
  reason: string | null;
  cancel_by: string | null;
  cancel_at: number | null;
}

interface Backup {
  good_at: number | null;
  verified_at: number | null;
  only_agent: boolean;
  failed_at: number | null;
  cancelled_at: number | null;
  drill_failed_at: number | null;
  late_at: number | null;
  unverified_at: number | null;
  full_at: number | null;
  open: boolean;
  open_status: string | null;
  open_type: string | null;
}

interface Machine {
  id: number;
  device_id: string;
  name: string;
  location_description: string | null;
  tags: string[];
  simulated: boolean;
  status: string;
  special_status: string | null;
  effective_status: string;
  capacity: number;
  status_since: number;
  status_by: string;
  status_reason: string | null;
  status_until: number | null;
  returns_to: string | null;
  connection: string;
  connection_since: number | null;
  connection_reason: string | null;
  last_seen_at: number | null;
  expected_interval_s: number;
  health_reasons: { code: string; value: number }[];
  lasting: { code: string; since: number }[];
  readings: Readings | null;
  last_ip: string | null;
  agent_version: string | null;
  model: string | null;
  boot_id: string | null;
  commands: string[];
  timezone: string | null;
  config_version: number;
  config_wanted: number;
  config_refused: number;
  board_question: "connected" | "waits" | "copy" | null;
  config_applied_at: number | null;
  clock_offset_s: number | null;
  ntp: boolean | null;
  busy: boolean | null;
  quarantined_until: number | null;
  pending: Job[];
  lease: Lease | null;
  troubles: { snoozed_until: number | null }[];
  backup: Backup;
  created_at: number;
}

/** A line of the record as the hub draws it. */
interface EventLine {
  id: number;
  at: number;
  node: Part;
}

interface Happened {
  id: number;
  at: number;
  code: string;
  actor: string;
  rvm_id: number | null;
  params: Free;
}

type Frame =
  | { type: "hello"; version: string; hub_time: number; epoch: string }
  | { type: "pong"; n: number; hub_time: number }
  | { type: "snapshot"; epoch: string; seq: number; hub_time: number; machines: Machine[] }
  | { type: "delta"; seq: number; t: number; m: (Partial<Machine> & { id: number })[]; removed?: number[] }
  | ({ type: "job" } & Job)
  | ({ type: "event" } & Happened);

interface Query {
  text: string;
  status: string;
  connection: string;
  tag: string;
  group: string;
  columns: string;
  look: string;
  spark: string;
  sort: string;
  descending: boolean;
  /** Of a link to the wall. */
  kiosk?: string;
}

/** A socket, as far as ours are used, so that tests can hold one in their hands. */
interface Line {
  readyState: number;
  binaryType?: string;
  onopen?: (() => void) | null;
  onmessage?: ((event: { data: any }) => void) | null;
  onclose?: ((event: { code: number }) => void) | null;
  onerror?: (() => void) | null;
  send(data: string | Uint8Array): void;
  close(): void;
}

type Timer = ReturnType<typeof setTimeout> | number;

/** What a test puts in place of the browser's own. */
interface World {
  url?: string;
  clock?: import("./static/js/hub_clock.js").HubClock;
  open?: (url: string) => Line;
  later?: (act: () => void, ms: number) => Timer;
  cancel?: (timer: Timer | undefined) => void;
  random?: () => number;
  now?: () => number;
  signedIn?: () => Promise<boolean>;
}

/** What `sendCommand` and its kind answer. */
interface Answer {
  ok: boolean;
  status: number;
  message: string;
  data: any;
  errors: Record<string, string[]>;
}

interface HTMLElement {
  /** On the body: the page's feed, and whether leases are drawn already. */
  feed?: import("./static/js/feed.js").Feed;
  leases?: boolean;
  /** What finds in the palette ("k"), or goes to a neighbour ("[", "]"). */
  found?: (key: string) => void;
}

/** An element as a selector finds it: the templates see to its kind, and the tests in a browser that it is there. */
interface Part extends HTMLElement {
  dataset: Record<string, string>;
  value: any;
  defaultValue: string;
  checked: boolean;
  disabled: boolean;
  open: boolean;
  required: boolean;
  indeterminate: boolean;
  name: string;
  type: string;
  max: string | number;
  action: string;
  href: string;
  form: Part & HTMLFormElement;
  files: FileList;
  content: { firstElementChild: Part };
  elements: Record<string, Part>;
  readonly children: HTMLCollectionOf<Part>;
  readonly parentNode: Part;
  firstElementChild: Part;
  lastElementChild: Part;
  nextElementSibling: Part;
  previousElementSibling: Part;
  offsetParent: Element | null;
  grouped?: (machines: Machine[]) => Machine[];
  headed?: () => void;
  /** On the announcer: changes of machines that nobody has heard of yet, and what speaks of them. */
  changes?: { m: Machine; was: string }[];
  speak?: () => void;
  /** On the fleet's table: what draws what comes next. On a row: it stands far from what the window shows. */
  table?: import("./static/js/table.js").Table;
  /** What opens a row's menu ("⋯"), and the link in the row that it was asked by. */
  menu?: () => void;
  opener?: Part;
  grow?: () => void;
  far?: boolean;
  closest<E extends Element = Part>(selector: string): E;
  cloneNode(deep?: boolean): this;
  submit(): void;
  requestSubmit(): void;
  reset(): void;
  showModal(): void;
  close(): void;
}

/** The parts of plotly.js that charts.js uses. */
interface Plot extends Part {
  on(name: string, act: (event: any) => void): void;
}

interface Window {
  BarcodeDetector?: new (wanted: Free) => Free;
  Plotly: {
    react(plot: Plot, data: Free[], layout: Free, config: Free): Promise<void>;
    relayout(plot: Plot, change: Free): Promise<void>;
    purge(plot: Plot): void;
    Plots: { resize(plot: Plot): void };
    register(part: Free): void;
    Fx: { hover(plot: Plot, at: Free): void; unhover(plot: Plot): void };
  };
}

/** The parts of xterm.js that the terminal and the player use. */
interface Screen extends Free {
  cols: number;
  rows: number;
  write(data: string | Uint8Array): void;
}
