import { inject } from "vitest"
import { storeContracts } from "../StoreContracts.ts"
import { database } from "./Postgres.ts"

storeContracts("Postgres", database(inject("databaseUrl")))
