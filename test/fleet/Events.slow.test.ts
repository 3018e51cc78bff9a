import * as Databases from "./Databases.ts"
import { eventContracts } from "./EventContracts.ts"

eventContracts("SQLite", Databases.sqlite)
