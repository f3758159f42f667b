// Make a master for a runner that waits for it, and report to it.
//
// The runner has written a file job.status with the state "requested"; the script replaces it by
// "running" and finally by "completed" or "failed". PixInsight's exit code has no meaning and its
// console is not written to the standard output, so this file is the only information for the
// runner. The master stays at job.part, where the runner checks it.

function runForRunner(job) {
   var result = {}, state = "failed";
   console.beginLog();
   try {
      result = makeMaster(job, function (step) { report(job, "running", { step: step }); });
      state = "completed";
   } catch (error) {
      console.criticalln(String(error));
      result = { error: String(error) };
   }
   result.console = endLog();
   var problem = report(job, state, result);
   // Such as a number that this engine cannot write: the runner would wait for the report in vain.
   if (problem !== "")
      report(job, "failed", { error: problem, console: result.console });
}

// A report that cannot be written must not end the script: others follow it. Return the problem.
function report(job, state, fields) {
   try {
      fields.state = state;
      fields.version = coreVersion();
      writeWhole(job.status, asciiJson(fields));
      return "";
   } catch (error) {
      var problem = "could not write " + job.status + ": " + error;
      console.criticalln(problem);
      return problem;
   }
}
