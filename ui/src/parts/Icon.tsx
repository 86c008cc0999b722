// Small drawings of 16 by 16, in the colour of the text. They never stand without words (aria-hidden).
const drawings = {
  plus: 'M8 3v10M3 8h10',
  inbox: 'M2.5 9.5 4.5 3h7l2 6.5V13h-11zM2.5 9.5h3.2l1 1.8h2.6l1-1.8h3.2',
  tasks: 'M6 4h8M6 8h8M6 12h8M2 4h1M2 8h1M2 12h1',
  board: 'M2.5 3h3v10h-3zM6.5 3h3v6h-3zM10.5 3h3v8h-3z',
  money: 'M8 2v12M11 4.8C10.300 3.900 9.300 3.500 8 3.500c-1.700 0-3 .8-3 2.200C5 8.800 11 7 11 10.200c0 1.500-1.400 2.300-3 2.300-1.500 0-2.600-.6-3.200-1.500',
  models: 'M8 2l5 3v6l-5 3-5-3V5zM8 8l5-3M8 8 3 5M8 8v6',
  traffic: 'M2 5h10M9.500 2.500 12 5 9.500 7.500M14 11H4M6.500 8.500 4 11l2.500 2.500',
  audit: 'M4 2h8v12H4zM6 5h4M6 8h4M6 11h2',
  people: 'M6 8a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM1.500 13.500C2 11 3.700 10 6 10s4 1 4.500 3.500M10.500 3.300a2.500 2.500 0 0 1 0 4.400M12 10.300c1.400.5 2.200 1.500 2.500 3.200',
  health: 'M1.500 8.500h3l1.500-4 3 7.500 2-5 .9 1.500h2.600',
  settings: 'M3 4.500h5M11 4.500h2M3 11.500h2M8 11.500h5M9.500 3v3M6.500 10v3',
  search: 'M7 11.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9zM10.500 10.500 14 14',
  play: 'M5 3l8 5-8 5z',
  pause: 'M5 3v10M11 3v10',
  stop: 'M4 4h8v8H4z',
  undo: 'M6 3 3 6l3 3M3 6h6a4 4 0 0 1 0 8H6',
  check: 'M3 8.500 6.500 12 13 4.500',
  cross: 'M4 4l8 8M12 4l-8 8',
  copy: 'M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3',
  download: 'M8 2v8M4.500 7 8 10.500 11.500 7M3 13.500h10',
  sun: 'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1.500v1.500M8 13v1.500M1.500 8H3M13 8h1.500M3.400 3.400l1 1M11.600 11.600l1 1M3.400 12.600l1-1M11.600 4.400l1-1',
  moon: 'M13 9.500A5.500 5.500 0 0 1 6.500 3 5.500 5.500 0 1 0 13 9.500z',
  menu: 'M2.500 4.500h11M2.500 8h11M2.500 11.500h11',
  left: 'M10 3.500 5.500 8 10 12.500',
  right: 'M6 3.500 10.500 8 6 12.500',
  down: 'M3.500 6 8 10.500 12.500 6',
  up: 'M3.500 10 8 5.500 12.500 10',
  file: 'M4 2h5l3 3v9H4zM9 2v3h3',
  folder: 'M2 4h4l1.500 2H14v7.500H2z',
  link: 'M7 9a2.500 2.500 0 0 0 3.600 0l2-2A2.500 2.500 0 0 0 9 3.400M9 7a2.500 2.500 0 0 0-3.600 0l-2 2A2.500 2.500 0 0 0 7 12.600',
  terminal: 'M2 3h12v10H2zM4.500 6 7 8 4.500 10M8 10.500h3.500',
  clock: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 5v3.500l2 1.500',
  eye: 'M1.500 8C3 5 5.300 3.500 8 3.500S13 5 14.500 8C13 11 10.700 12.500 8 12.500S3 11 1.500 8zM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4z',
  key: 'M5.500 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8.500 8H14v2.500M11.500 8v2',
  bell: 'M4 11V7a4 4 0 0 1 8 0v4l1.500 1.500h-11zM6.500 14h3',
  warning: 'M8 2 14.500 13.500h-13zM8 6.500v3.500M8 11.500v.5',
  question: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM6.200 6.500c.1-1 .8-1.600 1.800-1.600s1.800.6 1.800 1.500c0 1.300-1.800 1.300-1.800 2.600M8 11v.5',
  // states: a shape of its own for each
  'state-queued': 'M8 13A5 5 0 1 0 8 3a5 5 0 0 0 0 10z',
  'state-working': 'M8 13A5 5 0 1 0 8 3a5 5 0 0 0 0 10zM8 3v5h5',
  'state-checking': 'M8 13A5 5 0 1 0 8 3a5 5 0 0 0 0 10zM5.800 8.200l1.600 1.600 2.900-3.300',
  'state-you': 'M8 1.800 14.200 8 8 14.200 1.800 8zM8 5v3.500M8 10.500v.5',
  'state-paused': 'M5.500 3.500v9M10.500 3.500v9',
  'state-done': 'M2.500 8.500 6.500 12.500 14 4',
  'state-unproven': 'M3 9c1.500-3 3-3 5-1s3.500 2 5-1',
  'state-stopped': 'M4 4h8v8H4z',
  'state-failed': 'M4 4l8 8M12 4l-8 8',
  'state-undone': 'M6 3 3 6l3 3M3 6h6a4 4 0 0 1 0 8H6',
} as const;

export type IconName = keyof typeof drawings;

export function Icon({ name, strong }: { name: IconName; strong?: boolean }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width={strong ? 2 : 1.4} stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={drawings[name]} />
    </svg>
  );
}
