// One master, and the end: with a runner waiting, or by hand.

// By hand, the script itself puts the master into place.
function runByHand(job) {
   console.show();
   makeMaster(job, function (step) { console.noteln("* " + step); });
   replaceFile(job.master, job.part);
   console.noteln("* wrote " + job.master);
}

if (isAwaited(JOB))
   runAwaited(JOB);
else
   runByHand(JOB);
