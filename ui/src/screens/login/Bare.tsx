// The frame of login and first run: the mark, one column.
import type { ComponentChildren } from 'preact';
import './login.css';

export const Bare = ({ title, children }: { title: string; children: ComponentChildren }) => (
  <div class="bare-page">
    <div class="bare-brand">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <path d="M16 15 24 5l3 3-10 8 10 8-3 3-8-10-8 10-3-3 10-8L5 8l3-3z" fill="currentColor" />
      </svg>
      Nightmill
    </div>
    <h1>{title}</h1>
    {children}
  </div>
);
