// Light, dark, or as the system has it.
import { stored } from '../cell';

export type Theme = 'system' | 'light' | 'dark';
export const theme = stored<Theme>('theme', 'system');
const apply = (now: Theme) => {
  if (now === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = now;
};
apply(theme.value);
theme.watch(apply);
export const nextTheme: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };
