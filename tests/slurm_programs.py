"""Slurm's programs as far as submitit and the executor call them: an array's tasks as processes of this machine."""

from __future__ import annotations

from pathlib import Path

SBATCH = """#!/bin/bash
id=$(( $(ls {queue} | wc -l) + 100 ))
script={scripts}/$id
cp "$1" $script  # like Slurm: submitit renames its file once it knows the number
name=$(sed -n 's/^#SBATCH --job-name=//p' $script)
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' $script)
export SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=localhost SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0
export SLURM_NODEID=0 SLURM_CPUS_PER_TASK=$(sed -n 's/^#SBATCH --cpus-per-task=//p' $script)
export SLURM_JOB_ID=$id
if [ -n "$last" ]; then
    export SLURM_ARRAY_JOB_ID=$id
    for task in $(seq 0 $last); do
        SLURM_ARRAY_TASK_ID=$task setsid bash $script >/dev/null 2>&1 &
        echo $! $name >{queue}/${{id}}_$task
    done
else
    setsid bash $script >/dev/null 2>&1 &
    echo $! $name >{queue}/$id
fi
echo "Submitted batch job $id"
"""
SQUEUE = """#!/bin/bash
wanted=$(sed -n 's/.*--name=\\([^ ]*\\).*/\\1/p' <<<"$*")
found=1
for task in $(ls {queue}); do
    read pid name <{queue}/$task
    [[ -z $wanted || $wanted = $name ]] && kill -0 $pid 2>/dev/null && echo $task && found=0
done
[[ -n $wanted ]] && exit 0
[ $found = 1 ] && echo "slurm_load_jobs error: Invalid job id specified" >&2
exit $found
"""
SCANCEL = """#!/bin/bash
for asked in "$@"; do
    for task in $(ls {queue}); do
        read pid name <{queue}/$task
        [[ $asked = $task || $asked = --name=$name ]] && kill -9 -- -$pid
    done
done
"""
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do
    [[ $1 == --unbuffered ]] || shift
    shift
done
exec "$@"
"""


def write_programs(folder: Path) -> Path:
    """Returns the folder that stands in PATH; the tasks' process ids lie in ``folder``/queue."""
    programs, queue, scripts = folder / "bin", folder / "queue", folder / "scripts"
    for made in (programs, queue, scripts):
        made.mkdir()
    texts = {"sbatch": SBATCH, "squeue": SQUEUE, "scancel": SCANCEL, "srun": SRUN}
    for name, text in texts.items():
        program = programs / name
        program.write_text(
            text if name == "srun" else text.format(queue=queue, scripts=scripts), encoding="utf-8"
        )
        program.chmod(0o755)
    return programs
