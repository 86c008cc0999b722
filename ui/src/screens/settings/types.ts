// What the settings and notification routes answer.
import type { Schemas } from '../../types';

export type Setting = Schemas['Setting'];
export type Settings = Schemas['Settings'];
export type Change = Schemas['SettingChange'];
export type Delivery = Schemas['Delivery'];
export type Notice = Schemas['Notification'];
export type Channel = Schemas['Channel'];
