import { HttpAgent, type BaseEvent, type RunAgentInput } from "@ag-ui/client";
import type { Observable } from "rxjs";

/** The gateway's refusal; `status` is HTTP's. */
export declare class RefusedError extends Error {
  status: number;
  constructor(status: number, detail: string);
}

/** An agent of AG-UI that resumes. */
export declare class TailraceHttpAgent extends HttpAgent {
  /** The id of the task that the latest run belongs to; "" before there is one. */
  task: string;
  run(input: RunAgentInput): Observable<BaseEvent>;
  /** The thread as it is, and then the run that is under way. Of a thread that does not exist nothing comes. */
  connect(input: RunAgentInput): Observable<BaseEvent>;
  /** Cancel the task of the latest run. To abort a run only stops reading it. */
  cancelRun(): Promise<void>;
}
