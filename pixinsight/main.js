// Make one master, for a runner or for a user who runs the script.

// Without a runner, the script itself moves the master to its final path.
function runForUser(job) {
   console.show();
   makeMaster(job, function (step) { console.noteln("* " + step); });
   replaceFile(job.master, job.part);
   console.noteln("* wrote " + job.master);
}

if (hasRunner(JOB))
   runForRunner(JOB);
else
   runForUser(JOB);
