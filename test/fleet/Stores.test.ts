import * as Databases from "./Databases.ts"
import { storeContracts } from "./StoreContracts.ts"

storeContracts("SQLite", Databases.sqlite)
