// What answers somebody's hands on any page beside its keys: menus that shut, and the theme.

import { menus } from "../menus.js";

menus();
