// The page begins here.
import { render } from 'preact';
import './css/tokens.css';
import './css/base.css';
import './css/parts.css';
import './css/shell.css';
import './shell/theme';
import { startOffline } from './offline';
import { begin, Shell } from './shell/Shell';

begin();
render(<Shell />, document.getElementById('page')!);
startOffline();
