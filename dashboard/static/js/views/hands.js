// What answers somebody's hands on any page beside its keys: menus that shut, the theme, and a table's columns.

import { columns } from "../columns.js";
import { menus } from "../menus.js";

menus();
columns();
