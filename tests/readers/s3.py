"""Copies what lies below a prefix of an S3 bucket into a folder, or removes it, and prints the keys.

    s3.py download BUCKET PREFIX FOLDER
    s3.py remove BUCKET PREFIX

AWS_ENDPOINT names the server.
"""

import os
import sys

import boto3


def main():
    bucket, prefix, *folder = sys.argv[2:]
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT"], region_name=os.environ["AWS_REGION"])
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if not folder:
                client.delete_object(Bucket=bucket, Key=entry["Key"])
                print(entry["Key"])
                continue
            path = os.path.join(folder[0], entry["Key"][len(prefix) :])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            client.download_file(bucket, entry["Key"], path)
            print(entry["Key"])


if __name__ == "__main__":
    main()
